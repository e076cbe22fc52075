//! Steps to effects: pure text, the same for a dry run and a real one. What depends on rows that do
//! not exist yet (which views name the build, which grants a rebuild dropped) is an effect that says
//! so; everything else is the SQL itself.
//!
//! Invariants: no IF EXISTS where a missing container must be an error; a cutover is one statement
//! that tests the lease's token in the same block; nothing here is sent twice.
//!
//! May import `domain` and its siblings.

use super::ledger::{Fence, Swap, TOKEN};
use super::session::literal;
use super::stamp;
use super::unit::{Unit, container, quoted};
use crate::domain::name::{ReleaseId, Role, SlotName};
use crate::domain::plan::{Adoption, Carried, Effect, Kept, Pair, Past, Side, Staged, Step};
use crate::domain::slot::Seal;

/// The attempt written into the stamp of content that dbt alone made.
const ADOPTED: u32 = 0;

/// What is known of a container beside its name, as far as it must be known to copy it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// It keeps at most a day of its past.
    pub transient: bool,
    /// Only its owner grants in it.
    pub managed: bool,
}

/// What rendering stands on.
pub struct Renderer<'a> {
    /// What is swapped.
    pub unit: Unit,
    /// The environment's name.
    pub environment: &'a str,
    /// Where the lease is.
    pub lease: &'a Fence,
    /// What was last seen of a container.
    pub traits: &'a dyn Fn(&SlotName) -> Traits,
}

impl Renderer<'_> {
    /// The effects of a step; dbt's own are the engine's to add.
    #[must_use]
    pub fn effects(&self, step: &Step) -> Vec<Effect> {
        match step {
            Step::Drop {
                role: Role::Build(release) | Role::Archive(release) | Role::Candidate(release),
                slots,
            }
            | Step::Unstage { release, slots } => slots
                .iter()
                .map(|slot| Effect::RemoveSlot { slot: slot.clone(), release: *release })
                .collect(),
            Step::Found { slots, release } => {
                slots.iter().flat_map(|slot| self.founded(slot, *release)).collect()
            }
            Step::Clone { pairs, release, attempt, from_nothing } => {
                self.cloned(pairs, *release, *attempt, *from_nothing)
            }
            Step::Recall { pairs, release, attempt, past } => pairs
                .iter()
                .zip(past)
                .flat_map(|(pair, past)| self.recalled(pair, past, *release, *attempt))
                .collect(),
            Step::Restore { slots, .. } => {
                let text = |slot| format!("UNDROP {} {}", self.unit.word(), Self::name(slot));
                slots.iter().map(|slot| Self::sql(slot, text(slot))).collect()
            }
            Step::Relink { pairs, side: Side::Build } => self.relinked(pairs, false),
            Step::Relink { pairs, side: Side::Live } => relinked_live(pairs),
            Step::Verify { pairs } => {
                let what = |pair: &Pair| format!("{} against {}: the gates", pair.other, pair.live);
                pairs.iter().map(|pair| Effect::Inspect { what: what(pair) }).collect()
            }
            Step::Seal { pairs, release, attempt } => pairs
                .iter()
                .flat_map(|pair| self.stamped(&pair.other, *release, *attempt, Seal::Sealed))
                .collect(),
            Step::Stage { staged, release, attempt } => {
                staged.iter().flat_map(|one| self.staged(one, *release, *attempt)).collect()
            }
            Step::SyncGrants { pairs } => pairs
                .iter()
                .flat_map(|pair| {
                    let (from, to) = (&pair.live, &pair.other);
                    [carry(Carried::Settings, from, to), carry(Carried::Grants, from, to)]
                })
                .collect(),
            Step::Drift { pairs } => pairs
                .iter()
                .map(|pair| Effect::Inspect {
                    what: format!("{} against what it was when it was cloned", pair.live),
                })
                .collect(),
            Step::Swap { pairs, displaces, .. } => vec![self.cutover(pairs, displaces.is_some())],
            Step::SwapBack { pairs, publishes, .. } => self.taken_back(pairs, publishes.is_some()),
            Step::HandOver { pairs } => {
                pairs.iter().map(|pair| carry(Carried::Tasks, &pair.other, &pair.live)).collect()
            }
            Step::Keep { kept, release, adopt } => {
                kept.iter().flat_map(|one| self.kept(one, *release, *adopt)).collect()
            }
            // No planner drops live.
            Step::Drop { role: Role::Live, .. } | Step::Build { .. } | Step::Check { .. } => {
                Vec::new()
            }
        }
    }

    fn sql(slot: &SlotName, text: String) -> Effect {
        Effect::Sql { slot: slot.clone(), text }
    }

    /// A slot's name for SQL. Names come from containers that were seen or are named after such, so
    /// one that is none is written as it is, and refused by the server.
    fn name(slot: &SlotName) -> String {
        container(slot).map_or_else(|_| slot.to_string(), |one| quoted(&one))
    }

    fn stamped(
        &self,
        slot: &SlotName,
        release: ReleaseId,
        attempt: u32,
        seal: Seal,
    ) -> Vec<Effect> {
        let Ok(one) = container(slot) else { return Vec::new() };
        let statements = stamp::write(&one, self.environment, release, attempt, seal);
        statements.into_iter().map(|text| Self::sql(slot, text)).collect()
    }

    fn marked(&self, release: ReleaseId) -> String {
        format!("COMMENT = {}", literal(&stamp::marker(self.environment, release)))
    }

    fn created(&self, slot: &SlotName, like: Traits, source: &str, release: ReleaseId) -> Effect {
        let transient = if like.transient { "TRANSIENT " } else { "" };
        let managed = if like.managed { " WITH MANAGED ACCESS" } else { "" };
        let text = format!(
            "CREATE {transient}{} {}{source}{managed} {}",
            self.unit.word(),
            Self::name(slot),
            self.marked(release)
        );
        Self::sql(slot, text)
    }

    fn founded(&self, slot: &SlotName, release: ReleaseId) -> Vec<Effect> {
        let created = self.created(slot, Traits::default(), "", release);
        let stamped = self.stamped(slot, release, ADOPTED, Seal::Sealed);
        std::iter::once(created).chain(stamped).collect()
    }

    fn copied(&self, from: &SlotName, to: &SlotName, release: ReleaseId) -> Effect {
        let source = format!(" CLONE {}", Self::name(from));
        self.created(to, (self.traits)(from), &source, release)
    }

    fn cloned(
        &self,
        pairs: &[Pair],
        release: ReleaseId,
        attempt: u32,
        from_nothing: bool,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for Pair { live, other } in pairs {
            effects.push(if from_nothing {
                self.created(other, Traits::default(), "", release)
            } else {
                self.copied(live, other, release)
            });
            effects.extend(self.stamped(other, release, attempt, Seal::Building));
        }
        if !from_nothing {
            effects
                .extend(pairs.iter().map(|pair| carry(Carried::Objects, &pair.live, &pair.other)));
            effects.extend(self.relinked(pairs, true));
        }
        effects
    }

    fn recalled(&self, pair: &Pair, past: &Past, release: ReleaseId, attempt: u32) -> Vec<Effect> {
        let at = past.at.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        let source =
            format!(" CLONE {} AT(TIMESTAMP => '{at}'::TIMESTAMP_TZ)", Self::name(&past.container));
        let require =
            Effect::Require { slot: past.container.clone(), identity: past.identity.clone() };
        let created = self.created(&pair.other, (self.traits)(&past.container), &source, release);
        let stamped = self.stamped(&pair.other, release, attempt, Seal::Sealed);
        [require, created].into_iter().chain(stamped).collect()
    }

    /// In a database a name without it means the view's own; a schema's name is needed, so there
    /// the build's takes the place of live's, and back again once it is live.
    fn relinked(&self, pairs: &[Pair], cloned: bool) -> Vec<Effect> {
        let names = |pair: &Pair| match self.unit {
            Unit::Database if cloned => vec![(pair.live.clone(), None)],
            Unit::Database => vec![(pair.other.clone(), None), (pair.live.clone(), None)],
            Unit::Schema => {
                pairs.iter().map(|one| (one.live.clone(), Some(one.other.clone()))).collect()
            }
        };
        pairs
            .iter()
            .map(|pair| Effect::Relink { slot: pair.other.clone(), names: names(pair) })
            .collect()
    }

    fn staged(&self, one: &Staged, release: ReleaseId, attempt: u32) -> Vec<Effect> {
        let copied = Self::sql(
            &one.candidate,
            match self.copied(&one.build, &one.candidate, release) {
                Effect::Sql { text, .. } => text,
                _ => String::new(),
            },
        );
        let stamped = self.stamped(&one.candidate, release, attempt, Seal::Sealed);
        std::iter::once(copied).chain(stamped).collect()
    }

    /// One block: the token is tested, and every slot swapped; what was swapped before an error is
    /// swapped back in reverse order (`/developer-guide/snowflake-scripting/exceptions`).
    fn cutover(&self, pairs: &[Pair], live_exists: bool) -> Effect {
        let word = self.unit.word();
        let swap = |pair: &Pair| {
            let (live, other) = (Self::name(&pair.live), Self::name(&pair.other));
            if live_exists {
                let swap = format!("ALTER {word} {live} SWAP WITH {other}");
                (swap.clone(), swap)
            } else {
                (
                    format!("ALTER {word} {other} RENAME TO {live}"),
                    format!("ALTER {word} {live} RENAME TO {other}"),
                )
            }
        };
        let swaps: Vec<Swap> = pairs.iter().map(swap).collect();
        let slot = pairs.first().map_or_else(|| SlotName::from(""), |pair| pair.live.clone());
        Self::sql(&slot, self.lease.cutover(TOKEN, &swaps))
    }

    fn taken_back(&self, pairs: &[Pair], exchange: bool) -> Vec<Effect> {
        if exchange {
            let tasks = pairs.iter().map(|pair| carry(Carried::Tasks, &pair.other, &pair.live));
            return std::iter::once(self.cutover(pairs, true)).chain(tasks).collect();
        }
        // There was nothing: what was renamed into place goes back to its own name.
        let back: Vec<Pair> = pairs
            .iter()
            .map(|pair| Pair { live: pair.other.clone(), other: pair.live.clone() })
            .collect();
        vec![self.cutover(&back, false)]
    }

    fn kept(&self, one: &Kept, release: ReleaseId, adopt: Adoption) -> Vec<Effect> {
        let stamped = if adopt == Adoption::Stamp {
            self.stamped(&one.from, release, ADOPTED, Seal::Sealed)
        } else {
            Vec::new()
        };
        let moved = (one.from != one.to)
            .then(|| Effect::MoveSlot { from: one.from.clone(), to: one.to.clone() });
        stamped.into_iter().chain(moved).collect()
    }
}

/// What has become live names the builds, which go away.
fn relinked_live(pairs: &[Pair]) -> Vec<Effect> {
    let names: Vec<(SlotName, Option<SlotName>)> =
        pairs.iter().map(|pair| (pair.other.clone(), Some(pair.live.clone()))).collect();
    pairs
        .iter()
        .map(|pair| Effect::Relink { slot: pair.live.clone(), names: names.clone() })
        .collect()
}

fn carry(what: Carried, from: &SlotName, to: &SlotName) -> Effect {
    Effect::Carry { what, from: from.clone(), to: to.clone() }
}
