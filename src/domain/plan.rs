//! Plans: the steps of one operation as plain values, each with the effects that carry it out.
//!
//! A plan is built once, printed on a dry run and otherwise executed; both see the same value.
//! Steps say *what*, in the terms of the design; effects say *how*, down to the SQL text, and are
//! rendered by the warehouse's adapter without touching anything.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use super::effect::{Carried, Effect};
use super::name::{Identity, ReleaseId, Role, SlotName};
use super::slot::{Content, Observation, Seal};

/// The verbs that change something in an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Build and promote in one run.
    Deploy,
    /// Build, verify and leave waiting.
    Build,
    /// Swap in what `build` left.
    Promote,
    /// Swap an earlier release back in.
    Rollback,
    /// Drop archives.
    Prune,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deploy => "deploy",
            Self::Build => "build",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
            Self::Prune => "prune",
        })
    }
}

/// A live slot and the slot it is cloned to, compared with or swapped with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The slot consumers read.
    pub live: SlotName,
    /// The other one: a build or an archive.
    pub other: SlotName,
}

/// A displaced content on its way to its archive's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The live slot it belongs to.
    pub live: SlotName,
    /// Where the swap left it.
    pub from: SlotName,
    /// The archive it is kept as.
    pub to: SlotName,
}

/// A state of a container at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The container under its present name.
    pub container: SlotName,
    /// Which container it must be.
    pub identity: Identity,
    /// The moment, in UTC.
    pub at: DateTime<Utc>,
}

/// A build on its way into live by way of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// The live slot it belongs to.
    pub live: SlotName,
    /// The build.
    pub build: SlotName,
    /// The copy that is swapped in.
    pub candidate: SlotName,
}

/// Whose views are relinked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The build's, before the cutover.
    Build,
    /// What has become live.
    Live,
}

/// Whose content is being kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adoption {
    /// Ours: it carries its stamp.
    Ours,
    /// Not ours: it is stamped before it gets its archive's name.
    Stamp,
    /// Not readable: it is put aside as it is, and never dropped.
    Aside,
}

/// One step of an operation. Closed: every planner, adapter and report matches on all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Step {
    /// Remove slots that carry our stamp: leftovers of an attempt, or archives beyond retention.
    Drop {
        /// What they are: the builds or the archives of one release.
        role: Role,
        /// The slots.
        slots: Vec<SlotName>,
    },
    /// Copy live into the build slots and stamp them `building`.
    Clone {
        /// Live and build.
        pairs: Vec<Pair>,
        /// The release that is to become of it.
        release: ReleaseId,
        /// Which attempt at it.
        attempt: u32,
        /// Whether there is no live content yet, so that the build starts empty.
        from_nothing: bool,
    },
    /// Create empty slots for what a release did not have yet, stamped as that release, so that all
    /// slots of the environment agree.
    Found {
        /// The slots: live ones that do not exist yet, or archives of an earlier release.
        slots: Vec<SlotName>,
        /// The release they belong to.
        release: ReleaseId,
    },
    /// Copy an earlier state of a container into a new slot and stamp it `sealed` (warehouses that
    /// can read their own past).
    Recall {
        /// Live and the slot that is made.
        pairs: Vec<Pair>,
        /// The release it is, or becomes.
        release: ReleaseId,
        /// Which attempt at it.
        attempt: u32,
        /// Which past, one for each pair.
        past: Vec<Past>,
    },
    /// Bring back slots that were dropped (warehouses that keep for a while what was dropped).
    Restore {
        /// The slots, under the names that they had.
        slots: Vec<SlotName>,
        /// The release they hold.
        release: ReleaseId,
    },
    /// Remove the builds whose copies are live now.
    Unstage {
        /// The release they hold.
        release: ReleaseId,
        /// The builds.
        slots: Vec<SlotName>,
    },
    /// Run the project's dbt commands on the build slots.
    Build {
        /// The build slots dbt is moved to.
        pairs: Vec<Pair>,
        /// dbt's arguments, one command each.
        commands: Vec<Vec<String>>,
    },
    /// Make views independent of the names that are about to change.
    Relink {
        /// Live and build.
        pairs: Vec<Pair>,
        /// Whose views.
        side: Side,
    },
    /// Copy the build to the slots that are swapped in, so that the build's names go on answering
    /// until what was swapped in does not name them any more.
    Stage {
        /// What is copied where.
        staged: Vec<Staged>,
        /// The release it is.
        release: ReleaseId,
        /// Which attempt.
        attempt: u32,
    },
    /// Judge the build against live: the gates.
    Verify {
        /// Live and build.
        pairs: Vec<Pair>,
    },
    /// Stamp the build slots `sealed`: from here on they may be published.
    Seal {
        /// Live and build.
        pairs: Vec<Pair>,
        /// The release it is.
        release: ReleaseId,
        /// Which attempt.
        attempt: u32,
    },
    /// Give the incoming slots the access rules that live has now.
    SyncGrants {
        /// Live and incoming.
        pairs: Vec<Pair>,
    },
    /// Keep writers out of live and find what was written to it in the meantime.
    Drift {
        /// Live and incoming.
        pairs: Vec<Pair>,
    },
    /// The cutover.
    Swap {
        /// Live and incoming.
        pairs: Vec<Pair>,
        /// The release that becomes live.
        publishes: ReleaseId,
        /// The release that was live, if any content was.
        displaces: Option<ReleaseId>,
        /// Whether what is live cannot be read, so that nobody can be kept from writing to it.
        #[serde(default)]
        damaged: bool,
    },
    /// Let what runs by itself (tasks) run in live and nowhere else.
    HandOver {
        /// Live and where the swap left what it displaced.
        pairs: Vec<Pair>,
    },
    /// Run the post-deploy checks on live.
    Check {
        /// dbt's arguments, one command each.
        commands: Vec<Vec<String>>,
    },
    /// The cutover undone, because a post-deploy check failed.
    SwapBack {
        /// Live and where the swap left what it displaced.
        pairs: Vec<Pair>,
        /// The release that becomes live again.
        publishes: Option<ReleaseId>,
        /// The release that is taken back.
        displaces: ReleaseId,
    },
    /// Give what was displaced the name of its archive.
    Keep {
        /// What goes where.
        kept: Vec<Kept>,
        /// The release it is.
        release: ReleaseId,
        /// Whose it is, and so what must be done to it first.
        adopt: Adoption,
    },
}

impl Step {
    /// The step's key in the journal, unique within a plan.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            // An archive and a leftover build of one release may both be dropped in one plan.
            Self::Drop { role, .. } => match role {
                Role::Build(release) => format!("drop:build_{release}"),
                Role::Archive(release) => format!("drop:{release}"),
                Role::Candidate(release) => format!("drop:next_{release}"),
                Role::Live => unreachable!("no planner drops live"),
            },
            Self::Relink { side: Side::Live, .. } => "relink:live".to_owned(),
            // Both what comes in and what is live may lack a slot.
            Self::Found { release, .. } => format!("found:{release}"),
            other => other.title().to_owned(),
        }
    }

    /// The step's name as people read it.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::Drop { .. } => "drop",
            Self::Clone { .. } => "clone",
            Self::Found { .. } => "found",
            Self::Recall { .. } => "recall",
            Self::Restore { .. } => "restore",
            Self::Relink { .. } => "relink",
            Self::Stage { .. } => "stage",
            Self::Unstage { .. } => "unstage",
            Self::HandOver { .. } => "hand-over",
            Self::Build { .. } => "build",
            Self::Verify { .. } => "verify",
            Self::Seal { .. } => "seal",
            Self::SyncGrants { .. } => "sync-grants",
            Self::Drift { .. } => "drift",
            Self::Swap { .. } => "swap",
            Self::Check { .. } => "check",
            Self::SwapBack { .. } => "swap-back",
            Self::Keep { .. } => "keep",
        }
    }

    /// Whether `observed` already shows what this step would bring about, so that a step whose
    /// outcome is unknown, or that an interrupted run left, need not be done (again). `None`:
    /// slots cannot tell.
    #[must_use]
    pub fn holds_in(&self, observed: &Observation) -> Option<bool> {
        let all = |pairs: &[Pair], wanted: &dyn Fn(&Pair) -> bool| Some(pairs.iter().all(wanted));
        match self {
            Self::Drop { slots, .. } | Self::Unstage { slots, .. } => {
                Some(slots.iter().all(|slot| *observed.content(slot) == Content::Absent))
            }
            Self::Clone { pairs, release, attempt, .. } => all(pairs, &|pair| {
                observed
                    .content(&pair.other)
                    .own_stamp()
                    .is_some_and(|stamp| stamp.release == *release && stamp.attempt == *attempt)
            }),
            Self::Seal { pairs, release, attempt }
            | Self::Recall { pairs, release, attempt, .. } => {
                all(pairs, &|pair| sealed_as(observed, &pair.other, *release, *attempt))
            }
            Self::Stage { staged, release, attempt } => Some(
                staged.iter().all(|one| sealed_as(observed, &one.candidate, *release, *attempt)),
            ),
            Self::Found { slots, release } | Self::Restore { slots, release } => {
                Some(slots.iter().all(|slot| observed.content(slot).release() == Some(*release)))
            }
            Self::Swap { pairs, publishes, .. } => {
                all(pairs, &|pair| observed.content(&pair.live).release() == Some(*publishes))
            }
            Self::SwapBack { pairs, displaces, .. } => {
                all(pairs, &|pair| observed.content(&pair.live).release() != Some(*displaces))
            }
            Self::Keep { kept, adopt: Adoption::Aside, .. } => {
                Some(kept.iter().all(|one| *observed.content(&one.from) == Content::Absent))
            }
            Self::Keep { kept, release, .. } => {
                Some(kept.iter().all(|one| observed.content(&one.to).release() == Some(*release)))
            }
            Self::Build { .. }
            | Self::Verify { .. }
            | Self::SyncGrants { .. }
            | Self::Drift { .. }
            | Self::Relink { .. }
            | Self::HandOver { .. }
            | Self::Check { .. } => None,
        }
    }
}

fn sealed_as(observed: &Observation, slot: &SlotName, release: ReleaseId, attempt: u32) -> bool {
    observed.content(slot).own_stamp().is_some_and(|stamp| {
        stamp.release == release && stamp.attempt == attempt && stamp.seal == Seal::Sealed
    })
}

/// A step with its effects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// What.
    pub step: Step,
    /// How.
    pub effects: Vec<Effect>,
}

/// How dbt is moved into the build slot: the rungs of the ladder, first that moves every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// One key of the profile is redirected.
    Profile,
    /// An overlay of the project wraps its schema macro.
    Overlay,
    /// Variables or environment keys named under `redirect`.
    Redirect,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Profile => "the profile's key",
            Self::Overlay => "an overlay of the project",
            Self::Redirect => "the variables under `redirect`",
        })
    }
}

/// Everything one operation is going to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Which verb.
    pub verb: Verb,
    /// The release that becomes live (for `prune`: the one that stays live).
    pub release: ReleaseId,
    /// Which attempt at it, counted from 1.
    pub attempt: u32,
    /// The release that is live now, if there is any content.
    pub displaces: Option<ReleaseId>,
    /// Whether what is live now was not made by Switchback and is adopted as `displaces`.
    pub adopts: bool,
    /// How dbt is moved to the build, where dbt runs.
    pub moved_by: Option<Rung>,
    /// The steps in order.
    pub steps: Vec<Planned>,
}

impl Plan {
    /// The step of that key.
    #[must_use]
    pub fn step(&self, key: &str) -> Option<&Planned> {
        self.steps.iter().find(|planned| planned.step.key() == key)
    }

    /// The swap, where the plan has one.
    #[must_use]
    pub fn swap(&self) -> Option<&Step> {
        self.steps.iter().map(|planned| &planned.step).find(|s| matches!(s, Step::Swap { .. }))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plan: {} {}", self.verb, self.release)?;
        if self.attempt > 1 {
            write!(f, " (attempt {})", self.attempt)?;
        }
        match (self.displaces, self.adopts) {
            (Some(old), true) => writeln!(f, ", adopting what is live now as {old}")?,
            (Some(old), false) if old != self.release => writeln!(f, ", live now is {old}")?,
            (Some(_), false) => writeln!(f)?,
            (None, _) => writeln!(f, ", nothing is live yet")?,
        }
        if let Some(rung) = self.moved_by {
            writeln!(f, "dbt is moved to the build by {rung}")?;
        }
        for (index, planned) in self.steps.iter().enumerate() {
            writeln!(f, "{:>3} {}", index + 1, planned.step.key())?;
            for effect in &planned.effects {
                writeln!(f, "      {effect}")?;
            }
        }
        Ok(())
    }
}
