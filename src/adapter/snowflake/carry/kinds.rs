//! Which objects a clone leaves out or changes, and what of that loses something.
//!
//! Documented in `/user-guide/object-clone`, `/sql-reference/sql/create-clone`,
//! `/user-guide/dynamic-tables/cloning`, `/user-guide/views-materialized`. A clone also holds only
//! what the role has privileges on, and says nothing about the rest: so live's inventory is
//! compared with the clone's.
//!
//! Pure. May import its siblings.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Policy;
use super::table::few;
use crate::adapter::snowflake::grants::Container;
use crate::adapter::snowflake::ident::Ident;

/// What a clone may lose or change, as the configuration allows it: `allow: {objects: [stages]}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Internal stages and their files.
    Stages,
    /// Pipes.
    Pipes,
    /// Streams and the records they have not given out yet.
    Streams,
    /// External tables.
    ExternalTables,
    /// Hybrid tables.
    HybridTables,
    /// Iceberg tables.
    IcebergTables,
    /// Event tables.
    EventTables,
    /// Dynamic tables.
    DynamicTables,
    /// Materialized views.
    MaterializedViews,
    /// Tasks that the clone does not hold.
    Tasks,
    /// Alerts that the clone does not hold.
    Alerts,
    /// Shares of the container.
    Shares,
    /// Membership in a replication or failover group.
    Replication,
    /// Other objects that the clone does not hold: sequences, functions, policies, …
    Unseen,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Stages,
        Self::Pipes,
        Self::Streams,
        Self::ExternalTables,
        Self::HybridTables,
        Self::IcebergTables,
        Self::EventTables,
        Self::DynamicTables,
        Self::MaterializedViews,
        Self::Tasks,
        Self::Alerts,
        Self::Shares,
        Self::Replication,
        Self::Unseen,
    ];

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stages => "stages",
            Self::Pipes => "pipes",
            Self::Streams => "streams",
            Self::ExternalTables => "external-tables",
            Self::HybridTables => "hybrid-tables",
            Self::IcebergTables => "iceberg-tables",
            Self::EventTables => "event-tables",
            Self::DynamicTables => "dynamic-tables",
            Self::MaterializedViews => "materialized-views",
            Self::Tasks => "tasks",
            Self::Alerts => "alerts",
            Self::Shares => "shares",
            Self::Replication => "replication",
            Self::Unseen => "unseen",
        }
    }

    /// What is lost.
    fn why(self) -> &'static str {
        match self {
            Self::Stages => "a clone has no internal stages and none of their files",
            Self::Pipes => {
                "a clone leaves out pipes on internal stages and pauses the others, whose history of \
                 loaded files it does not have: a pipe whose COPY names the database loads twice \
                 once it is resumed"
            }
            Self::Streams => "the records that a stream has not given out yet are not in the clone",
            Self::ExternalTables => "a clone leaves external tables out",
            Self::HybridTables => "a clone of a schema leaves hybrid tables out",
            Self::IcebergTables => {
                "a clone leaves out Iceberg tables that Snowflake does not manage"
            }
            Self::EventTables => "a clone leaves event tables out",
            Self::DynamicTables => {
                "a cloned dynamic table is suspended and may be computed anew when it is resumed"
            }
            Self::MaterializedViews => "a swap suspends materialized views",
            Self::Tasks | Self::Alerts => "the clone does not hold them: it takes OWNERSHIP",
            Self::Shares => {
                "a share stays with what was live: its consumers read the old release on"
            }
            Self::Replication => "the group goes on with what was live",
            Self::Unseen => {
                "the clone does not hold them: it leaves out some kinds, and whatever the role has no \
                 privilege on"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("`{text}` is no kind of object; allowed are {}", all.join(", "))
        })
    }
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// A table with rows of its own.
    Table,
    View,
    MaterializedView,
    DynamicTable,
    ExternalTable,
    HybridTable,
    IcebergTable,
    EventTable,
    Stage {
        /// Whether the files lie in Snowflake.
        internal: bool,
    },
    Pipe,
    Stream,
    Task,
    Alert,
    /// Anything else, by Snowflake's word for it.
    Other(String),
}

/// What there is: class, name relative to the container, and for functions their argument types.
pub(super) type Found = BTreeMap<(Class, Vec<Ident>, Option<String>), State>;

/// What is known of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// A task or an alert that runs.
    pub(super) started: bool,
    /// A table that Snowflake keeps clustered.
    pub(super) clustered: bool,
}

/// What the account says about the container as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// Shares of it.
    pub(super) shares: Vec<String>,
    /// Replication and failover groups that it is in.
    pub(super) groups: Vec<String>,
    /// What could not be asked.
    pub(super) notes: Vec<String>,
}

/// What stops the deploy, and what is worth a word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) refused: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Compares a source with its clone.
pub(super) fn judge(
    container: &Container,
    source: &Found,
    clone: &Found,
    account: &Account,
    policy: &Policy,
) -> Verdict {
    let mut lost: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    let (mut gone, mut notes) = (Vec::new(), account.notes.clone());
    let mut told: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (key, state) in source {
        let (class, name, _) = key;
        let there = clone.contains_key(key);
        let shown = shown(container, name);
        match consequence(class, there) {
            Consequence::Gone => gone.push(shown.clone()),
            Consequence::Lost(kind) => lost.entry(kind).or_default().push(shown.clone()),
            Consequence::Told(what) => told.entry(what).or_default().push(shown.clone()),
            Consequence::Runs if state.started => {
                told.entry("suspended in the clone, resumed after the swap")
                    .or_default()
                    .push(shown.clone());
            }
            Consequence::Runs | Consequence::Nothing => {}
        }
        if there && state.clustered && !clone.get(key).is_some_and(|now| now.clustered) {
            let what =
                "automatic clustering is suspended in the clone (ALTER TABLE … RESUME RECLUSTER)";
            told.entry(what).or_default().push(shown);
        }
    }
    if !account.shares.is_empty() && !policy.leave_shares {
        lost.insert(Kind::Shares, account.shares.clone());
    }
    if !account.groups.is_empty() {
        lost.insert(Kind::Replication, account.groups.clone());
    }
    let mut verdict = Verdict::default();
    if !gone.is_empty() {
        verdict.refused.push(format!(
            "{}: in live and not in the clone, either because this role has no SELECT on them or \
             because they were made while the clone was; GRANT it, or run it again",
            few(gone)
        ));
    }
    for (kind, names) in lost {
        let what = format!("{kind}: {}: {}", few(names), kind.why());
        if policy.allowed_kinds.contains(&kind) {
            notes.push(format!("{what} (allowed)"));
        } else {
            verdict.refused.push(format!("{what}; allow it: `allow: {{objects: [{kind}]}}`"));
        }
    }
    notes.extend(told.into_iter().map(|(what, names)| format!("{what}: {}", few(names))));
    verdict.notes = notes;
    verdict
}

enum Consequence {
    /// A relation is missing: never allowed.
    Gone,
    /// Something is lost.
    Lost(Kind),
    /// Nothing is lost, but it is worth a word.
    Told(&'static str),
    /// A word if it runs.
    Runs,
    Nothing,
}

fn consequence(class: &Class, there: bool) -> Consequence {
    use Consequence::{Gone, Lost, Nothing, Runs, Told};
    match (class, there) {
        (Class::Table | Class::View, false) => Gone,
        (Class::MaterializedView, _) => Lost(Kind::MaterializedViews),
        (Class::DynamicTable, _) => Lost(Kind::DynamicTables),
        (Class::ExternalTable, false) => Lost(Kind::ExternalTables),
        (Class::EventTable, false) => Lost(Kind::EventTables),
        (Class::HybridTable, false) => Lost(Kind::HybridTables),
        (Class::HybridTable, true) => Told("hybrid tables, whose rows are copied"),
        (Class::IcebergTable, false) => Lost(Kind::IcebergTables),
        (Class::IcebergTable, true) => {
            Told("Iceberg tables: what is written to the clone lies in the source's base location")
        }
        (Class::Stage { internal: true }, false) => Lost(Kind::Stages),
        (Class::Pipe, _) => Lost(Kind::Pipes),
        (Class::Stream, _) => Lost(Kind::Streams),
        (Class::Task, false) => Lost(Kind::Tasks),
        (Class::Alert, false) => Lost(Kind::Alerts),
        (Class::Task | Class::Alert, true) => Runs,
        (Class::Stage { internal: false } | Class::Other(_), false) => Lost(Kind::Unseen),
        (Class::Other(kind), true) if kind == "DATA METRIC FUNCTION" => {
            Told("data metric functions: what they are set on is not cloned")
        }
        (
            Class::Table
            | Class::View
            | Class::ExternalTable
            | Class::EventTable
            | Class::Stage { .. }
            | Class::Other(_),
            true,
        ) => Nothing,
    }
}

/// Whether a clone leaves objects of this class out, whatever the role may see
/// (`/sql-reference/sql/create-clone`).
pub(super) fn is_never_cloned(class: &Class) -> bool {
    matches!(
        class,
        Class::ExternalTable
            | Class::EventTable
            | Class::HybridTable
            | Class::Stage { internal: true }
    )
}

fn shown(container: &Container, name: &[Ident]) -> String {
    let mut parts: Vec<String> = match container {
        Container::Database(database) => vec![database.to_string()],
        Container::Schema(path) => vec![path.to_string()],
    };
    parts.extend(name.iter().map(ToString::to_string));
    parts.join(".")
}
