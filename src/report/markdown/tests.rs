//! What people read on GitHub, as snapshots; and that text of others stays text, as GitHub's own
//! Markdown rules (comrak) render it.

use std::collections::BTreeMap;
use std::time::Duration;

use comrak::{Options, markdown_to_html};
use proptest::prelude::*;

use super::*;
use crate::domain::history::History;
use crate::domain::inventory::{Change, What};
use crate::domain::project::{DbtSummary, NodeResult};
use crate::domain::verify::{Action, Finding, Loss};
use crate::report::course::{Fate, Passed};
use crate::report::tests::{change, hold, plan, published, shown};

fn frame() -> Frame {
    Frame {
        verb: "deploy".into(),
        environment: "production".into(),
        run_url: Some("https://github.com/o/r/actions/runs/7".into()),
        rollback_url: Some(
            "https://github.com/o/r/actions/workflows/switchback-rollback.yml".into(),
        ),
        report_path: Some(".switchback/reports/deploy.json".into()),
    }
}

fn dbt() -> DbtSummary {
    DbtSummary {
        counts: BTreeMap::from([("pass".into(), 20), ("success".into(), 11), ("error".into(), 1)]),
        failures: vec![NodeResult {
            unique_id: "model.shop.orders".into(),
            status: "error".into(),
            message: Some("Binder Error: no column \"tax\"\n  LINE 3".into()),
            file: Some("models/orders.sql".into()),
            seconds: 0.2,
        }],
        seconds: 9.0,
    }
}

fn course() -> Course {
    let passed = |what: &str, began, took, fate| Passed {
        what: what.to_owned(),
        began: Duration::from_millis(began),
        took: Duration::from_millis(took),
        fate,
    };
    Course {
        passed: vec![
            passed("reading the dbt project", 0, 4740, Fate::Done),
            passed("clone production", 4740, 480, Fate::Done),
            passed("build with dbt", 5220, 5760, Fate::Failed),
        ],
        dbt: Some(dbt()),
        ..Course::default()
    }
}

fn told(result: &Outcome<Answer>, course: &Course) -> (String, String) {
    let frame = frame();
    let told = Told { result, course, frame: &frame };
    (summary(told), comment(told))
}

#[allow(clippy::unnecessary_wraps)] // as a verb answers
fn answer(changed: Changed) -> Outcome<Answer> {
    Ok(Answer::Changed(Box::new(changed)))
}

#[test]
fn a_deploy_says_what_is_live_what_changed_and_where_the_button_is() {
    let changed =
        Changed { dbt: Some(dbt()), notes: vec!["accepted drift: x".into()], ..published() };
    let course = Course {
        findings: published().findings,
        warnings: vec![
            "main.daily has no column tax any more (columns-gone)".into(),
            "the lease could not be given back".into(),
        ],
        ..course()
    };
    let (summary, comment) = told(&answer(changed), &course);
    insta::assert_snapshot!(summary);
    insta::assert_snapshot!(comment);
}

#[test]
fn a_rollback_says_what_left_and_what_is_held() {
    let loss = Loss {
        snapshot_versions: vec![change("main.history", Some(12), Some(10), vec![What::Rows])],
        ..Loss::default()
    };
    let (summary, _) = told(
        &answer(Changed {
            word: Word::RolledBack,
            live: Some(shown(1)),
            previous: Some(shown(2)),
            changes: Vec::new(),
            findings: Vec::new(),
            loss: Some(loss),
            hold: Some(hold()),
            undo: Some("switchback rollback --to r2 --reason TEXT".into()),
            ..published()
        }),
        &Course::default(),
    );
    insta::assert_snapshot!(summary);
}

#[test]
fn a_failure_says_what_happened_what_failed_and_what_to_do() {
    let failure = Failure::stopped("the gates stop this release:\n  main.a is empty (emptied)")
        .production("production is untouched: r1 is live")
        .next("correct the project; or accept it by name");
    let course = Course {
        findings: vec![Finding {
            gate: "emptied".into(),
            action: Action::Stop,
            message: "main.a had 9 rows and has none".into(),
        }],
        changes: vec![change("main.a", Some(1_234_567), Some(0), vec![What::Rows])],
        ..course()
    };
    let (summary, comment) = told(&Err(failure), &course);
    insta::assert_snapshot!(summary);
    insta::assert_snapshot!(comment);
}

#[test]
fn a_dry_run_shows_the_plan() {
    let changed = Changed {
        plan: Some(plan()),
        ..Changed::new(Word::Planned, Some(shown(1)), &History::default())
    };
    let (summary, _) = told(&answer(changed), &Course::default());
    insta::assert_snapshot!(summary);
}

/// HTML as GitHub would make it, raw HTML included, so that what escaped would show.
fn rendered(markdown: &str) -> String {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.alerts = true;
    options.render.r#unsafe = true;
    markdown_to_html(markdown, &options)
}

/// The tags of a page that are ours to write, and the text outside `code`, `pre` and `a`.
fn check(html: &str) -> Result<String, String> {
    const OURS: &[&str] = &[
        "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "strong",
        "ul", "li", "a", "em",
    ];
    let (mut bare, mut depth, mut rest) = (String::new(), 0i32, html);
    while let Some(at) = rest.find('<') {
        if depth == 0 {
            bare.push_str(&rest[..at]);
        }
        let end = rest[at..].find('>').ok_or("a tag does not end")? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with("!--") {
            continue;
        }
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if !OURS.contains(&name) {
            return Err(format!("`{tag}` is not ours"));
        }
        if name == "a" && !tag.starts_with('/') && !tag.contains("https://github.com/o/r/") {
            return Err(format!("`{tag}` leads elsewhere"));
        }
        if tag.contains(" on") || tag.contains("javascript:") {
            return Err(format!("`{tag}` acts"));
        }
        if matches!(name, "code" | "pre" | "a") {
            depth += if tag.starts_with('/') { -1 } else { 1 };
        }
    }
    if depth != 0 {
        return Err("a code does not end".to_owned());
    }
    bare.push_str(rest);
    Ok(bare)
}

/// Every place that text of others can reach, filled with `evil`.
fn everywhere(evil: &str) -> Vec<(Outcome<Answer>, Course, Frame)> {
    let mut hold = hold();
    hold.reason = evil.into();
    hold.by.name = evil.into();
    hold.commit = Some(evil.into());
    let changes: Vec<Change> = vec![Change {
        relation: evil.into(),
        rows_before: Some(1),
        rows_after: None,
        what: vec![
            What::ColumnGone(evil.into()),
            What::ColumnRetyped(evil.into(), evil.into(), evil.into()),
            What::ColumnAdded(evil.into()),
        ],
    }];
    let findings = vec![Finding { gate: evil.into(), action: Action::Stop, message: evil.into() }];
    let mut live = shown(2);
    live.commit = Some(evil.into());
    let loss = Loss { not_written_by_dbt: changes.clone(), ..Loss::default() };
    let mut summary = dbt();
    summary.counts = BTreeMap::from([(evil.to_owned(), 1)]);
    summary.failures[0] = NodeResult {
        unique_id: evil.into(),
        status: evil.into(),
        message: Some(evil.into()),
        file: Some(evil.into()),
        seconds: 0.0,
    };
    let deployed = Changed {
        live: Some(live),
        changes: changes.clone(),
        findings: findings.clone(),
        hold: Some(hold),
        loss: Some(loss),
        dbt: Some(summary.clone()),
        notes: vec![evil.into()],
        undo: Some(evil.into()),
        ..published()
    };
    let built = Changed { undo: None, next: Some(evil.into()), ..deployed.clone() };
    let course = Course {
        dbt: Some(summary),
        changes,
        findings,
        warnings: vec![evil.into()],
        passed: vec![Passed {
            what: evil.into(),
            began: Duration::ZERO,
            took: Duration::ZERO,
            fate: Fate::Done,
        }],
        swap_began: false,
    };
    let frame = Frame {
        verb: evil.into(),
        environment: evil.into(),
        report_path: Some(evil.into()),
        ..self::frame()
    };
    let failure = Failure::stopped(evil).production(evil).next(evil);
    vec![
        (answer(deployed), course.clone(), frame.clone()),
        (answer(built), course.clone(), frame.clone()),
        (Ok(Answer::Said(Word::Held, evil.into())), course.clone(), frame.clone()),
        (Err(failure), course, frame),
    ]
}

fn assert_inert(evil: &str) {
    let cells = |html: &str| ["<td", "<li", "<h3", "<pre"].map(|tag| html.matches(tag).count());
    // What tame text makes of it, hostile text must make of it too.
    let tame: Vec<_> = everywhere("a")
        .into_iter()
        .map(|(result, course, frame)| {
            let told = Told { result: &result, course: &course, frame: &frame };
            [summary(told), comment(told)].map(|document| cells(&rendered(&document)))
        })
        .collect();
    for ((result, course, frame), tame) in everywhere(evil).into_iter().zip(tame) {
        let told = Told { result: &result, course: &course, frame: &frame };
        for (document, tame) in [summary(told), comment(told)].into_iter().zip(tame) {
            let html = rendered(&document);
            let bare =
                check(&html).unwrap_or_else(|why| panic!("{why}\n{evil:?}\n{document}\n{html}"));
            assert!(!bare.contains('@'), "a mention\n{document}");
            assert_eq!(cells(&html), tame, "{evil:?}\n{document}\n{html}");
        }
    }
}

const EVIL: &[&str] = &[
    "</details></code></pre><script>alert(1)</script>",
    "`a` ``` b\n```\n# heading\n| x | y |\n|---|---|\n| 1 | 2 |",
    "@octocat @o/team #1 GH-1 o/r#1 https://evil.example www.evil.example a@b.example",
    "::set-output name=x::y\n::add-mask::z\n##[error]x%0A::error::y",
    "[x](javascript:alert(1)) ![x](https://evil.example/p.png) <img src=x onerror=y>",
    "<!-- switchback:0 -->\n\n<!--",
    "- [ ] a\n1. b\n> [!WARNING]\n> c\n\n    code\n***\n---\n[^1]: note",
    "\u{202e}txt.exe\u{2066} \u{0} \u{1b}[31m \r\n\u{2028}|",
    "&lt;b&gt; &#60;b&#62; \\<b\\> $x$ $$y$$ ~~z~~ __a__ :smile:",
];

#[test]
fn hostile_text_is_shown_and_nothing_else() {
    for evil in EVIL {
        assert_inert(evil);
    }
}

#[test]
fn hostile_text_is_still_readable() {
    let html = rendered(&format!("| a |\n|---|\n| {} |\n", escape::code(EVIL[0], 200)));
    assert!(html.contains("<code>&lt;/details&gt;"), "{html}");
}

#[test]
fn a_line_of_a_hundred_thousand_characters_is_cut_and_counted() {
    let (summary, comment) =
        told(&Err(Failure::stopped("|`@<".repeat(25_000))), &Course::default());
    assert!(summary.contains("… (80000 characters more)"));
    assert!(comment.contains("… (97000 characters more)"));
}

#[test]
fn a_long_project_is_cut_to_githubs_limits_and_says_so() {
    let name = "x|".repeat(100);
    let changes: Vec<Change> = (0..5000)
        .map(|n| {
            change(&format!("{name}{n}"), Some(1), Some(2), vec![What::ColumnGone(name.clone())])
        })
        .collect();
    let loss = Loss {
        rebuildable: changes.clone(),
        snapshot_versions: changes.clone(),
        not_written_by_dbt: changes.clone(),
    };
    let long = Changed { changes, loss: Some(loss), ..published() };
    let (summary, comment) = told(&answer(long), &course());
    assert!(summary.len() <= SUMMARY_LIMIT && comment.len() <= COMMENT_LIMIT);
    assert!(
        comment.contains(
            "Cut to GitHub’s limit of 65,536 characters a comment; left out: what leaves"
        )
    );
    assert!(summary.contains("Cut to GitHub’s limit of 1 MiB a summary"), "{}", summary.len());
    assert!(comment.contains("… and 4980 more relations"));
    assert!(check(&rendered(&summary)).is_ok());
}

#[test]
fn comments_of_two_environments_have_markers_of_their_own() {
    assert_ne!(marker("eu"), marker("us"));
    assert!(!marker("--> <b>").contains("<b>"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_of_others_is_ever_structure(
        evil in "(</?(code|pre|td|table|script|b)>|[`|~*_\\[\\]()<>&#@!$\\\\-]|\n|\n\n|\r|    |https://e\\.x|<!--|-->|::|%0A|[a-z]{1,4}| ){1,40}"
    ) {
        assert_inert(&evil);
    }
}
