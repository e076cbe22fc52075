//! What a fact is, and what comes of looking at it. Pure.
//!
//! May import nothing of this crate but its siblings.

use serde::{Serialize, Serializer};

/// Where a fact is looked at: some hold for one kind of container and not for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Between databases.
    Database,
    /// Between schemas of one database.
    Schema,
    /// Independent of the container.
    Anywhere,
}

impl Level {
    /// What fills `{c}` in a fact's sentence.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Schema | Self::Anywhere => "schema",
        }
    }
}

/// What the adapter's assumption rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The documentation says so.
    Documented,
    /// It follows from what the documentation says.
    Inferred,
    /// The documentation leaves it open, or contradicts itself.
    Unknown,
}

/// What the adapter leans on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This and nothing else.
    Is(&'static str),
    /// Any of these: the adapter looks, or carries on either way.
    OneOf(&'static [&'static str]),
}

impl Expected {
    /// Whether the adapter is right about what was observed.
    #[must_use]
    pub fn covers(&self, observed: &str) -> bool {
        match self {
            Self::Is(only) => *only == observed,
            Self::OneOf(any) => any.contains(&observed),
        }
    }

    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Is(only) => (*only).to_owned(),
            Self::OneOf(any) => any.join(" | "),
        }
    }
}

impl Serialize for Expected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(only) => [*only].serialize(serializer),
            Self::OneOf(any) => any.serialize(serializer),
        }
    }
}

/// What is done to settle facts; each needs containers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Experiment {
    /// A plain clone.
    Clone,
    /// A clone of what belongs to another role.
    CloneOwner,
    /// A clone of what the role cannot see.
    CloneUnseen,
    /// A clone that holds a hybrid table.
    CloneHybrid,
    /// A clone that holds a database role.
    DatabaseRole,
    /// Transient and permanent.
    Transient,
    /// A swap.
    Swap,
    /// A swap of containers with two owners.
    SwapOwner,
    /// A swap of schemas of two databases.
    SwapAcross,
    /// Tags, cloned and swapped.
    Tags,
    /// Grants, cloned and swapped.
    Grants,
    /// Future grants.
    FutureGrants,
    /// Inherited grants.
    InheritedGrants,
    /// `INFORMATION_SCHEMA.OBJECT_PRIVILEGES`.
    PrivilegeView,
    /// Views and the names in them.
    Views,
    /// `CREATE OR REPLACE VIEW … COPY GRANTS`.
    CopyGrants,
    /// `GET_DDL`.
    Definition,
    /// Time Travel after a swap.
    Past,
    /// Time Travel and a view that was replaced.
    PastView,
    /// A scripting block that swaps and swaps back.
    Block,
    /// Rows changed inside a block.
    RowCount,
    /// Two sessions that want the same row.
    Race,
    /// The columns of SHOW.
    Shows,
    /// `LAST_ALTERED` and `LAST_DDL`.
    LastAltered,
    /// `HASH_AGG`.
    HashAgg,
}

impl Experiment {
    /// For progress and the report.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Clone => "a plain clone",
            Self::CloneOwner => "a clone of what belongs to another role",
            Self::CloneUnseen => "a clone of what the role cannot see",
            Self::CloneHybrid => "a clone with a hybrid table",
            Self::DatabaseRole => "a clone with a database role",
            Self::Transient => "transient and permanent",
            Self::Swap => "a swap",
            Self::SwapOwner => "a swap of what belongs to two roles",
            Self::SwapAcross => "a swap of schemas of two databases",
            Self::Tags => "tags",
            Self::Grants => "grants",
            Self::FutureGrants => "future grants",
            Self::InheritedGrants => "inherited grants",
            Self::PrivilegeView => "grants as the information schema lists them",
            Self::Views => "names in views",
            Self::CopyGrants => "replacing a view",
            Self::Definition => "a view's definition",
            Self::Past => "Time Travel after a swap",
            Self::PastView => "Time Travel and replaced views",
            Self::Block => "a block that swaps back",
            Self::RowCount => "rows changed in a block",
            Self::Race => "two sessions, one row",
            Self::Shows => "what SHOW prints",
            Self::LastAltered => "when a table was last altered",
            Self::HashAgg => "HASH_AGG",
        }
    }
}

/// One fact that the adapter leans on.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// Its name in reports; unique together with the level.
    pub id: &'static str,
    /// What settles it.
    pub experiment: Experiment,
    /// Where it is looked at.
    pub levels: &'static [Level],
    /// What the assumption rests on.
    pub basis: Basis,
    /// The documentation page, below `docs.snowflake.com/en`.
    pub page: &'static str,
    /// The question; `{c}` is the kind of container.
    pub question: &'static str,
    /// What the adapter leans on.
    pub expected: Expected,
}

impl Fact {
    /// The question for one kind of container.
    #[must_use]
    pub fn ask(&self, level: Level) -> String {
        self.question.replace("{c}", level.word())
    }

    /// The documentation page for one kind of container.
    #[must_use]
    pub fn page(&self, level: Level) -> String {
        let page = match level {
            Level::Schema => self.page.replace("/alter-database", "/alter-schema"),
            Level::Database | Level::Anywhere => self.page.to_owned(),
        };
        format!("https://docs.snowflake.com/en{page}")
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As the adapter has it.
    AsAssumed,
    /// Not as the adapter has it.
    Differs,
    /// It could not be looked at; why stands beside it.
    NotSettled,
}

/// A fact and what came of it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The fact.
    pub fact: &'static Fact,
    /// Where.
    pub level: Level,
    /// What came of it.
    pub verdict: Verdict,
    /// What was seen; `None` if nothing was settled.
    pub observed: Option<String>,
    /// What else there is to say: Snowflake's words, or why nothing was settled.
    pub note: Option<String>,
}

impl Finding {
    /// Something was seen.
    #[must_use]
    pub fn seen(fact: &'static Fact, level: Level, seen: String, note: Option<String>) -> Self {
        let verdict =
            if fact.expected.covers(&seen) { Verdict::AsAssumed } else { Verdict::Differs };
        Self { fact, level, verdict, observed: Some(seen), note }
    }

    /// Nothing could be seen.
    #[must_use]
    pub fn unsettled(fact: &'static Fact, level: Level, why: String) -> Self {
        Self { fact, level, verdict: Verdict::NotSettled, observed: None, note: Some(why) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::FACTS;
    use super::*;

    #[test]
    fn every_fact_is_there_once_and_names_its_page() {
        for (at, fact) in FACTS.iter().enumerate() {
            assert!(FACTS[at + 1..].iter().all(|other| other.id != fact.id), "{}", fact.id);
            assert!(fact.page.starts_with('/') && fact.question.ends_with('?'), "{}", fact.id);
            assert!(!fact.levels.is_empty() && fact.id.len() <= 30, "{}", fact.id);
        }
    }

    #[test]
    fn facts_of_one_experiment_stand_together() {
        let mut seen: Vec<Experiment> = Vec::new();
        for fact in FACTS {
            if seen.last() != Some(&fact.experiment) {
                assert!(!seen.contains(&fact.experiment), "{}", fact.id);
                seen.push(fact.experiment);
            }
        }
    }
}
