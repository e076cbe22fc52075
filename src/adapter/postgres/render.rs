//! Steps to effects: pure text, the same for a dry run and a real one.
//!
//! Invariants: the SQL effects of one step run in one transaction, in which the lease is tested
//! first; the guards of a cutover are locks that keep everybody out, those of a look for drift
//! keep writers out. May import `domain`, `sql` and `stamp`.

use std::collections::BTreeSet;

use super::sql;
use super::stamp::{self, Writing};
use crate::adapter::sql::{identifier, literal};
use crate::domain::name::{Naming, ReleaseId, Role, SlotName};
use crate::domain::plan::{Adoption, Carried, Effect, Kept, Pair, Side, Step};
use crate::domain::slot::Seal;

/// The attempt written into the stamp of content that dbt alone made.
const ADOPTED: u32 = 0;

/// What the texts need to know.
pub(super) struct Around<'a> {
    /// The environment.
    pub environment: &'a str,
    /// How schemas are named.
    pub naming: Naming,
    /// Live schema and relation of the nodes whose access dbt decides.
    pub granted: &'a BTreeSet<(String, String)>,
}

/// The effects of a step; dbt's own are the engine's to add.
pub(super) fn effects(step: &Step, around: &Around<'_>) -> Vec<Effect> {
    match step {
        Step::Drop {
            role: Role::Build(release) | Role::Archive(release) | Role::Candidate(release),
            slots,
        } => slots
            .iter()
            .map(|slot| Effect::RemoveSlot { slot: slot.clone(), release: *release })
            .collect(),
        Step::Clone { pairs, release, attempt, from_nothing } => {
            around.clone(pairs, *release, *attempt, *from_nothing)
        }
        Step::Found { slots, release } => slots
            .iter()
            .flat_map(|slot| {
                let stamped = around.stamp(slot, *release, ADOPTED, Seal::Sealed);
                [created(slot, None), text(slot, stamped)]
            })
            .collect(),
        Step::Seal { pairs, release, attempt } => each(pairs, |pair| {
            let granted = around.granted.iter().filter(|(schema, _)| *schema == pair.live.0);
            let writing = Writing {
                granted: granted.map(|(_, relation)| relation.as_str()).collect(),
                ..around.writing(*release, *attempt, Seal::Sealed)
            };
            vec![text(&pair.other, stamp::write(&pair.other, &writing))]
        }),
        Step::Relink { pairs, side: Side::Build } => {
            let names: Vec<_> =
                pairs.iter().map(|pair| (pair.live.clone(), Some(pair.other.clone()))).collect();
            each(pairs, |pair| {
                vec![Effect::Relink { slot: pair.other.clone(), names: names.clone() }]
            })
        }
        Step::Verify { pairs } => each(pairs, |pair| {
            let what = format!("{} against {}: the gates", pair.other, pair.live);
            vec![Effect::Inspect { what }]
        }),
        Step::SyncGrants { pairs } => each(pairs, |pair| {
            let (from, to) = (pair.live.clone(), pair.other.clone());
            vec![Effect::Carry { what: Carried::Grants, from, to }]
        }),
        Step::Drift { pairs } => {
            let inspect = |pair: &Pair| Effect::Inspect {
                what: format!("{} against what it was when it was copied", pair.live),
            };
            guards(pairs).chain(pairs.iter().map(inspect)).collect()
        }
        Step::Swap { pairs, publishes, displaces, .. } => {
            around.swap(pairs, *publishes, displaces.is_some())
        }
        Step::SwapBack { pairs, publishes, displaces } => {
            around.swap_back(pairs, *displaces, publishes.is_some())
        }
        Step::Keep { kept, release, adopt } => {
            kept.iter().flat_map(|one| around.keep(one, *release, *adopt)).collect()
        }
        // Renaming needs no copy that is swapped in, nothing runs by itself, and there is no past.
        Step::Drop { role: Role::Live, .. }
        | Step::Recall { .. }
        | Step::Restore { .. }
        | Step::Relink { side: Side::Live, .. }
        | Step::Stage { .. }
        | Step::Unstage { .. }
        | Step::HandOver { .. }
        | Step::Build { .. }
        | Step::Check { .. } => Vec::new(),
    }
}

impl Around<'_> {
    fn writing(&self, release: ReleaseId, attempt: u32, seal: Seal) -> Writing<'_> {
        Writing { environment: self.environment, release, attempt, seal, granted: Vec::new() }
    }

    fn stamp(&self, slot: &SlotName, release: ReleaseId, attempt: u32, seal: Seal) -> String {
        stamp::write(slot, &self.writing(release, attempt, seal))
    }

    fn clone(
        &self,
        pairs: &[Pair],
        release: ReleaseId,
        attempt: u32,
        from_nothing: bool,
    ) -> Vec<Effect> {
        let copied = |pair: &Pair| {
            if from_nothing {
                return created(&pair.other, Some(stamp::MARKER));
            }
            Effect::Carry {
                what: Carried::Content,
                from: pair.live.clone(),
                to: pair.other.clone(),
            }
        };
        let stamped = |pair: &Pair| {
            let stamp = self.stamp(&pair.other, release, attempt, Seal::Building);
            text(&pair.other, format!("{stamp};\n{}", stamp::unmark(&pair.other, &pair.live)))
        };
        pairs.iter().map(copied).chain(pairs.iter().map(stamped)).collect()
    }

    fn swap(&self, pairs: &[Pair], publishes: ReleaseId, displaces: bool) -> Vec<Effect> {
        let swapped = |pair: &Pair| {
            if displaces {
                return self.exchange(pair, publishes);
            }
            text(&pair.live, sql::rename(pair.other.as_str(), pair.live.as_str()))
        };
        let settled = |pair: &Pair| text(&pair.live, stamp::published(&pair.live));
        let locks = displaces.then(|| guards(pairs)).into_iter().flatten();
        locks.chain(pairs.iter().map(swapped)).chain(pairs.iter().map(settled)).collect()
    }

    fn swap_back(&self, pairs: &[Pair], displaces: ReleaseId, publishes: bool) -> Vec<Effect> {
        let back = |pair: &Pair| {
            if publishes {
                return self.exchange(pair, displaces);
            }
            text(&pair.live, sql::rename(pair.live.as_str(), pair.other.as_str()))
        };
        guards(pairs).chain(pairs.iter().map(back)).collect()
    }

    /// A name that nothing else has is needed in between.
    fn exchange(&self, pair: &Pair, release: ReleaseId) -> Effect {
        let between = self.naming.slot(&pair.live, Role::Candidate(release));
        let (live, other, between) = (pair.live.as_str(), pair.other.as_str(), between.as_str());
        let renames =
            [sql::rename(live, between), sql::rename(other, live), sql::rename(between, other)];
        text(&pair.live, renames.join("; "))
    }

    fn keep(&self, kept: &Kept, release: ReleaseId, adopt: Adoption) -> Vec<Effect> {
        let stamped = (adopt == Adoption::Stamp)
            .then(|| text(&kept.from, self.stamp(&kept.from, release, ADOPTED, Seal::Sealed)));
        let renamed = (kept.from != kept.to)
            .then(|| text(&kept.from, sql::rename(kept.from.as_str(), kept.to.as_str())));
        stamped.into_iter().chain(renamed).collect()
    }
}

fn each(pairs: &[Pair], effects: impl Fn(&Pair) -> Vec<Effect>) -> Vec<Effect> {
    pairs.iter().flat_map(effects).collect()
}

fn guards(pairs: &[Pair]) -> impl Iterator<Item = Effect> {
    pairs.iter().map(|pair| Effect::Guard { slot: pair.live.clone() })
}

fn text(slot: &SlotName, text: String) -> Effect {
    Effect::Sql { slot: slot.clone(), text }
}

fn created(slot: &SlotName, marker: Option<&str>) -> Effect {
    let name = identifier(slot.as_str());
    let comment = marker.map_or_else(String::new, |marker| {
        format!("; COMMENT ON SCHEMA {name} IS {}", literal(marker))
    });
    text(slot, format!("CREATE SCHEMA {name}{comment}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(step: &Step) -> String {
        let granted = BTreeSet::from([("shop".to_owned(), "orders".to_owned())]);
        let around = Around {
            environment: "shop",
            naming: Naming::Identifiers { max_bytes: 63 },
            granted: &granted,
        };
        let lines: Vec<_> = effects(step, &around).iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    fn pairs() -> Vec<Pair> {
        vec![
            Pair { live: "shop".into(), other: "shop__build_r2".into() },
            Pair { live: "shop_marts".into(), other: "shop__build_r2_marts".into() },
        ]
    }

    #[test]
    fn a_deploy_is_written_down_to_its_sql() {
        let (release, attempt) = (ReleaseId(2), 1);
        let steps = [
            Step::Clone { pairs: pairs(), release, attempt, from_nothing: false },
            Step::Relink { pairs: pairs(), side: Side::Build },
            Step::Seal { pairs: pairs(), release, attempt },
            Step::SyncGrants { pairs: pairs() },
            Step::Drift { pairs: pairs() },
            Step::Swap {
                pairs: pairs(),
                publishes: release,
                displaces: Some(ReleaseId(1)),
                damaged: false,
            },
            Step::Keep {
                kept: vec![Kept {
                    live: "shop".into(),
                    from: "shop__build_r2".into(),
                    to: "shop__r1".into(),
                }],
                release: ReleaseId(1),
                adopt: Adoption::Stamp,
            },
            Step::Drop { role: Role::Archive(ReleaseId(0)), slots: vec!["shop__r0".into()] },
        ];
        let told: Vec<_> =
            steps.iter().map(|step| format!("{}\n{}", step.key(), shown(step))).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn the_first_deploy_onto_nothing_renames_without_an_exchange() {
        let swap =
            Step::Swap { pairs: pairs(), publishes: ReleaseId(1), displaces: None, damaged: false };
        let told = shown(&swap);
        assert!(told.starts_with(
            "sql       ALTER SCHEMA \"shop__build_r2\" RENAME TO \"shop\"   -- in shop\n"
        ));
        assert!(!told.contains("guard"), "{told}");
    }
}
