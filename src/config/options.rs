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
    /// A text that nobody may see; the word shown in help.
    Secret(&'static str),
}

/// Through which front doors something can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// On the command line and as an input of the action.
    Both,
    /// On the command line alone: it has no meaning in a workflow.
    CommandLine,
    /// As an input of the action alone: it is about GitHub.
    Action,
}

impl Door {
    /// Whether the command line has it.
    #[must_use]
    pub fn has_command_line(self) -> bool {
        matches!(self, Self::Both | Self::CommandLine)
    }

    /// Whether the action has it.
    #[must_use]
    pub fn has_action(self) -> bool {
        matches!(self, Self::Both | Self::Action)
    }
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
    /// Who can give it.
    pub door: Door,
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
    /// Who can run it.
    pub door: Door,
}

/// The verbs, in the order in which help lists them.
pub const VERBS: &[VerbHelp] = &[
    VerbHelp {
        name: "deploy",
        about: "Build a release beside production, verify it, swap it in",
        releases: (0, 0),
        door: Door::Both,
    },
    VerbHelp {
        name: "build",
        about: "Like deploy, but stop before the swap and let the build wait",
        releases: (0, 0),
        door: Door::Both,
    },
    VerbHelp {
        name: "promote",
        about: "Swap in the build that waits",
        releases: (0, 1),
        door: Door::Both,
    },
    VerbHelp {
        name: "rollback",
        about: "Swap an earlier release back in, and hold its fault off",
        releases: (0, 0),
        door: Door::Both,
    },
    VerbHelp {
        name: "releases",
        about: "List what can be rolled back to",
        releases: (0, 0),
        door: Door::Both,
    },
    VerbHelp {
        name: "status",
        about: "Say what is live, held and unfinished",
        releases: (0, 0),
        door: Door::Both,
    },
    VerbHelp {
        name: "recover",
        about: "Finish or abandon what an interrupted run left",
        releases: (0, 0),
        door: Door::Both,
    },
    VerbHelp {
        name: "prune",
        about: "Drop archives beyond retention, or the named ones",
        releases: (0, 64),
        door: Door::Both,
    },
    VerbHelp {
        name: "mark",
        about: "Record a restore point (warehouses with Time Travel)",
        releases: (0, 0),
        door: Door::Both,
    },
    VerbHelp {
        name: "hold",
        about: "Stop deploys until resume",
        releases: (0, 0),
        door: Door::Both,
    },
    VerbHelp { name: "resume", about: "Lift the hold", releases: (0, 0), door: Door::Both },
    VerbHelp {
        name: "doctor",
        about: "Check that a deploy can work here",
        releases: (0, 0),
        door: Door::Both,
    },
    VerbHelp {
        name: "init",
        about: "Write this repository's workflow files for GitHub",
        releases: (0, 0),
        door: Door::CommandLine,
    },
    VerbHelp {
        name: "demo",
        about: "Show it all on a small shop in a DuckDB file",
        releases: (0, 0),
        door: Door::CommandLine,
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
    Opt { name, shape, verbs, in_file, door: Door::Both, help }
}

impl Opt {
    const fn only(mut self, door: Door) -> Self {
        self.door = door;
        self
    }
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
    )
    .only(Door::CommandLine),
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
        "probe",
        Shape::Flag,
        &["doctor"],
        false,
        "Try in scratch containers whether the warehouse behaves as Switchback assumes (Snowflake)",
    ),
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
    opt(
        "dir",
        Shape::Text("DIR"),
        &["init", "demo"],
        false,
        "Where to write: the repository's folder (init), a new folder (demo)",
    )
    .only(Door::CommandLine),
    opt(
        "environment",
        Shape::Text("NAME"),
        &["init"],
        false,
        "The GitHub environment that stands for production (default: production)",
    )
    .only(Door::CommandLine),
    opt(
        "with-approval",
        Shape::Flag,
        &["init"],
        false,
        "Deploy in two jobs, with GitHub's approval of the environment between them",
    )
    .only(Door::CommandLine),
    opt("force", Shape::Flag, &["init"], false, "Overwrite workflow files that are there")
        .only(Door::CommandLine),
    opt(
        "github-token",
        Shape::Secret("TOKEN"),
        &[],
        false,
        "The token that deployments and comments are written with",
    )
    .only(Door::Action),
    opt(
        "github-deployment",
        Shape::Choice(&["true", "false"]),
        &[],
        false,
        "Whether deploys and rollbacks are recorded as GitHub deployments (default: true)",
    )
    .only(Door::Action),
    opt(
        "pull-request-comment",
        Shape::Choice(&["true", "false"]),
        &[],
        false,
        "Whether the commit's pull request is told the outcome in one comment (default: true)",
    )
    .only(Door::Action),
    opt(
        "environment",
        Shape::Text("NAME"),
        &[],
        false,
        "The GitHub environment that stands for production (default: production)",
    )
    .only(Door::Action),
    opt(
        "environment-url",
        Shape::Text("URL"),
        &[],
        false,
        "Where people look at production; GitHub links to it from the deployment",
    )
    .only(Door::Action),
    opt(
        "rollback-workflow",
        Shape::Text("FILE"),
        &[],
        false,
        "The workflow file that is the rollback button (default: the one that init writes, if it \
         is there)",
    )
    .only(Door::Action),
    opt(
        "allow-pull-request",
        Shape::Flag,
        &["deploy", "build", "promote"],
        false,
        "Deploy although the event is a pull request that is not merged",
    )
    .only(Door::Action),
];

impl Opt {
    /// Whether `verb` takes this option, through whichever door.
    #[must_use]
    pub fn is_for(&self, verb: &str) -> bool {
        self.verbs.is_empty() || self.verbs.contains(&verb)
    }

    /// Whether the command line's `verb` takes this option.
    #[must_use]
    pub fn is_flag_of(&self, verb: &str) -> bool {
        self.door.has_command_line() && self.is_for(verb)
    }
}
