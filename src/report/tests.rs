//! What people read, as snapshots.

use std::collections::BTreeSet;

use chrono::DateTime;

use super::*;
use crate::domain::inventory::{Change, What};
use crate::domain::journal::{Actor, HoldKind};
use crate::domain::name::{Naming, Role, SlotName};
use crate::domain::plan::{Adoption, Effect, Kept, Pair, Planned, Rung, Step, Verb};
use crate::domain::verify::{Action, Finding};
use crate::failure::{Failure, Kind};

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
}

fn ada() -> Actor {
    Actor {
        name: "ada".into(),
        run_url: Some("https://example.com/run/7".into()),
        host: "h".into(),
    }
}

pub(super) fn shown(release: u32) -> Shown {
    Shown {
        release: ReleaseId(release),
        commit: Some(format!("{release}0123456789abcdef").as_str().into()),
        dirty: release == 3,
        at: Some(at(i64::from(release) * 3600)),
    }
}

pub(super) fn change(
    relation: &str,
    before: Option<u64>,
    after: Option<u64>,
    what: Vec<What>,
) -> Change {
    Change { relation: relation.into(), rows_before: before, rows_after: after, what }
}

pub(super) fn hold() -> Hold {
    Hold {
        kind: HoldKind::SameCommit,
        reason: "refunds count as revenue".into(),
        by: ada(),
        at: at(9000),
        commit: Some("20123456789abcdef".into()),
        fingerprints: BTreeSet::new(),
        by_rollback: true,
    }
}

fn build_step(pairs: &[Pair], dbt: &[String]) -> Step {
    Step::Build { pairs: pairs.to_vec(), commands: vec![dbt.to_vec()] }
}

fn keep_step(build: &SlotName, archive: &SlotName) -> Step {
    let live = SlotName::from("/data/shop.duckdb");
    let kept = Kept { live, from: build.clone(), to: archive.clone() };
    Step::Keep { kept: vec![kept], release: ReleaseId(1), adopt: Adoption::Ours }
}

pub(super) fn plan() -> Plan {
    let live = SlotName::from("/data/shop.duckdb");
    let build = Naming::Files.slot(&live, Role::Build(ReleaseId(2)));
    let archive = Naming::Files.slot(&live, Role::Archive(ReleaseId(1)));
    let pairs = vec![Pair { live: live.clone(), other: build.clone() }];
    let dbt = vec!["build".to_owned(), "--select".to_owned(), "tag:daily".to_owned()];
    let step = |step, effects| Planned { step, effects };
    Plan {
        verb: Verb::Deploy,
        release: ReleaseId(2),
        attempt: 2,
        displaces: Some(ReleaseId(1)),
        adopts: false,
        moved_by: Some(Rung::Profile),
        steps: vec![
            step(
                Step::Clone {
                    pairs: pairs.clone(),
                    release: ReleaseId(2),
                    attempt: 2,
                    from_nothing: false,
                },
                vec![
                    Effect::Guard { slot: live.clone() },
                    Effect::CopyFile { from: live.to_string(), to: build.to_string() },
                ],
            ),
            step(
                build_step(&pairs, &dbt),
                vec![Effect::Dbt { arguments: dbt, on: "build".into() }],
            ),
            step(
                Step::Swap {
                    pairs,
                    publishes: ReleaseId(2),
                    displaces: Some(ReleaseId(1)),
                    damaged: false,
                },
                vec![
                    Effect::RefuseWal { slots: vec![live.clone(), build.clone()] },
                    Effect::Exchange {
                        left: live.to_string(),
                        right: build.to_string(),
                        guarded: true,
                    },
                ],
            ),
            step(keep_step(&build, &archive), vec![Effect::MoveSlot { from: build, to: archive }]),
        ],
    }
}

pub(super) fn published() -> Changed {
    Changed {
        previous: Some(shown(1)),
        plan: Some(plan()),
        changes: vec![
            change("main.orders", Some(70), Some(70), vec![What::Content]),
            change("main.customers", Some(15), Some(12), vec![What::Rows]),
            change("main.totals", None, Some(4), vec![What::New]),
            change(
                "main.daily",
                Some(9),
                Some(9),
                vec![
                    What::ColumnGone("tax".into()),
                    What::ColumnRetyped("day".into(), "DATE".into(), "VARCHAR".into()),
                ],
            ),
            change("main.recent", None, None, vec![What::Definition]),
        ],
        findings: vec![Finding {
            gate: "columns-gone".into(),
            action: Action::Warn,
            message: "main.daily has no column tax any more".into(),
        }],
        undo: Some("switchback rollback --reason \"what is wrong\"".into()),
        seconds: 12.34,
        ..Changed::new(Word::Published, Some(shown(2)), &History::default())
    }
}

fn text(changed: Changed) -> String {
    answer_text(&Answer::Changed(Box::new(changed)))
}

#[test]
fn a_plan_says_what_and_how() {
    insta::assert_snapshot!(plan().to_string());
}

#[test]
fn a_deploy_says_what_is_live_what_changed_and_how_to_take_it_back() {
    insta::assert_snapshot!(text(published()));
}

#[test]
fn a_rollback_says_what_is_live_what_left_and_what_is_held() {
    let loss = Loss {
        snapshot_versions: vec![change("main.history", Some(12), Some(10), vec![What::Rows])],
        not_written_by_dbt: vec![change("raw.loads", Some(5), None, vec![What::Gone])],
        ..Loss::default()
    };
    insta::assert_snapshot!(text(Changed {
        word: Word::RolledBack,
        live: Some(shown(1)),
        previous: Some(shown(2)),
        changes: Vec::new(),
        findings: Vec::new(),
        loss: Some(loss),
        hold: Some(hold()),
        undo: Some("switchback rollback --to r2 --reason TEXT".into()),
        ..published()
    }));
}

#[test]
fn status_says_what_is_live_held_and_unfinished() {
    let status = Status {
        environment: "/data/shop.duckdb".into(),
        warehouse: "duckdb".into(),
        live: Some(shown(3)),
        doubt: None,
        hold: Some(hold()),
        unfinished: Some((ReleaseId(4), "swap".into(), at(9100), "ada".into())),
        running: None,
        waiting: vec![shown(5)],
        ledger: "/data/.switchback/shop.duckdb/ledger.jsonl".into(),
    };
    insta::assert_snapshot!(answer_text(&Answer::Status(Box::new(status))));
}

#[test]
fn releases_say_what_can_come_back_and_which_is_the_previous() {
    let row = |release, state: &'static str, is_previous, kept: Option<&str>| Row {
        shown: shown(release),
        state,
        displaced: release == 3,
        actor: "ada".into(),
        reason: (release == 2).then(|| "hotfix".to_owned()),
        restorable: kept.map(|until| ("archive".to_owned(), until.to_owned())),
        is_previous,
    };
    insta::assert_snapshot!(answer_text(&Answer::Releases(vec![
        row(4, "live", false, None),
        row(3, "archived", false, Some("while among the 3 newest")),
        row(2, "archived", true, Some("while among the 3 newest")),
        row(1, "gone", false, None),
    ])));
}

#[test]
fn a_failure_says_what_happened_what_production_is_and_what_to_type() {
    let failure = Failure::new(
        Kind::Stopped,
        "the gates stop this release:\n  main.a had 9 rows and has none (emptied)",
    )
    .production("production is untouched: r1 is live")
    .next("correct the project");
    insta::assert_snapshot!(failure_text(&failure));
    insta::assert_snapshot!(failure_json(&failure).to_string());
}

#[test]
fn a_long_report_says_how_many_relations_it_leaves_out() {
    let changes: Vec<Change> = (0..40)
        .map(|n| change(&format!("main.t{n}"), Some(1), Some(2), vec![What::Rows]))
        .collect();
    assert!(change_table(&changes).ends_with("  … and 15 more relations\n"));
}
