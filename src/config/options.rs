//! The one table of options: command-line flags, action inputs and their help. `action.yml`, the
//! reference page and `switchback.yml`'s keys are checked against it by tests.
//!
//! May import nothing of this crate.

/// What an option's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Present or not.
    Flag,
    /// A text; the word shown in help.
    Text(&'static str),
    /// A text that may be given several times.
    Many(&'static str),
    /// One of these.
    Choice(&'static [&'static str]),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Its name, everywhere.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// The verbs that take it; empty: all.
    pub verbs: &'static [&'static str],
    /// Whether it is a key of `switchback.yml` too.
    pub in_file: bool,
    /// What it means.
    pub help: &'static str,
}

/// One verb.
#[derive(Clone, Copy, Debug)]
pub struct VerbHelp {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The releases it takes as plain arguments: `(at least, at most)`.
    pub releases: (usize, usize),
}

/// The verbs, in the order in which help lists them.
pub const VERBS: &[VerbHelp] = &[
    VerbHelp {
        name: "deploy",
        about: "Build a release beside production, verify it, swap it in",
        releases: (0, 0),
    },
    VerbHelp {
        name: "build",
        about: "Like deploy, but stop before the swap and let the build wait",
        releases: (0, 0),
    },
    VerbHelp { name: "promote", about: "Swap in the build that waits", releases: (0, 1) },
    VerbHelp {
        name: "rollback",
        about: "Swap an earlier release back in, and hold its fault off",
        releases: (0, 0),
    },
    VerbHelp { name: "releases", about: "List what can be rolled back to", releases: (0, 0) },
    VerbHelp { name: "status", about: "Say what is live, held and unfinished", releases: (0, 0) },
    VerbHelp {
        name: "recover",
        about: "Finish or abandon what an interrupted run left",
        releases: (0, 0),
    },
    VerbHelp {
        name: "prune",
        about: "Drop archives beyond retention, or the named ones",
        releases: (0, 64),
    },
    VerbHelp {
        name: "mark",
        about: "Record a restore point (warehouses with Time Travel)",
        releases: (0, 0),
    },
    VerbHelp { name: "hold", about: "Stop deploys until resume", releases: (0, 0) },
    VerbHelp { name: "resume", about: "Lift the hold", releases: (0, 0) },
    VerbHelp { name: "doctor", about: "Check that a deploy can work here", releases: (0, 0) },
    VerbHelp {
        name: "demo",
        about: "Show it all on a small shop in a DuckDB file",
        releases: (0, 0),
    },
];

const BUILDING: &[&str] = &["deploy", "build"];
const CHECKING: &[&str] = &["deploy", "promote"];
const PUBLISHING: &[&str] = &["deploy", "build", "promote"];
const PLANNING: &[&str] = &["deploy", "build", "promote", "rollback", "prune"];
const REASONED: &[&str] = &["deploy", "build", "promote", "rollback", "hold", "resume", "mark"];

const fn opt(
    name: &'static str,
    shape: Shape,
    verbs: &'static [&'static str],
    in_file: bool,
    help: &'static str,
) -> Opt {
    Opt { name, shape, verbs, in_file, help }
}

/// The options.
pub const OPTIONS: &[Opt] = &[
    opt(
        "project-dir",
        Shape::Text("DIR"),
        &[],
        true,
        "The dbt project's folder (default: where dbt would find it)",
    ),
    opt(
        "profiles-dir",
        Shape::Text("DIR"),
        &[],
        true,
        "The folder of profiles.yml (default: where dbt would find it)",
    ),
    opt("profile", Shape::Text("NAME"), &[], true, "The dbt profile"),
    opt("target", Shape::Text("NAME"), &[], true, "The dbt target that is production"),
    opt("config", Shape::Text("FILE"), &[], false, "The configuration (default: switchback.yml)"),
    opt(
        "format",
        Shape::Choice(&["text", "json"]),
        &[],
        false,
        "How to answer; json prints one object on standard output",
    ),
    opt("dbt-executable", Shape::Text("PATH"), &[], true, "The dbt to run (default: dbt in PATH)"),
    opt(
        "dbt-requirements",
        Shape::Text("FILE"),
        &[],
        true,
        "A file of pip requirements with the project's own dbt, installed into .switchback/dbt-env \
         and kept there",
    ),
    opt(
        "dbt-command",
        Shape::Many("COMMAND"),
        BUILDING,
        true,
        "What dbt does on the build, such as \"build --select tag:daily\" (default: build)",
    ),
    opt(
        "post-deploy-command",
        Shape::Many("COMMAND"),
        CHECKING,
        true,
        "What dbt checks on live after the swap, such as \"test --select tag:smoke\"; a failure \
         swaps back",
    ),
    opt(
        "dbt-timeout-minutes",
        Shape::Text("N"),
        PUBLISHING,
        true,
        "How long a series of dbt commands may take (default: 240)",
    ),
    opt(
        "lease-seconds",
        Shape::Text("N"),
        &["deploy", "build", "promote", "rollback", "recover", "prune"],
        true,
        "How long a run's lease lasts when it stops renewing it (default: 300)",
    ),
    opt("dry-run", Shape::Flag, PLANNING, false, "Print the plan and end with the run's exit code"),
    opt(
        "allow-drift",
        Shape::Flag,
        PUBLISHING,
        true,
        "Go on although production was written to since the clone",
    ),
    opt(
        "allow-loss",
        Shape::Flag,
        &["rollback"],
        true,
        "Go on although rows that dbt cannot rebuild leave production (they stay in the archive)",
    ),
    opt("reason", Shape::Text("TEXT"), REASONED, false, "Why; a rollback must say"),
    opt(
        "to",
        Shape::Text("TARGET"),
        &["rollback"],
        false,
        "previous (default), a release such as r3, a commit, a mark or a UTC time",
    ),
    opt(
        "hold",
        Shape::Choice(&["same-commit", "all", "none"]),
        &["rollback"],
        true,
        "Which deploys to refuse afterwards (default: same-commit)",
    ),
    opt("name", Shape::Text("NAME"), &["mark"], false, "The mark's name"),
    opt("dir", Shape::Text("DIR"), &["demo"], false, "Where the demo writes its project"),
];

impl Opt {
    /// Whether `verb` takes this option.
    #[must_use]
    pub fn is_for(&self, verb: &str) -> bool {
        self.verbs.is_empty() || self.verbs.contains(&verb)
    }
}
