//! What a statement does. The order of the variants is the order in which statements of different
//! kinds are said, where nothing else decides.

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Makes an enum, a domain, a range or a composite type.
    Type,
    /// Makes a function, a procedure or an aggregate.
    Routine,
    /// Makes a sequence.
    Sequence,
    /// Makes a table.
    Table,
    /// Says how a column is stored and sampled.
    Column,
    /// Makes a view.
    View,
    /// Makes a materialized view, empty.
    Materialized,
    /// Fills a materialized view.
    Refresh,
    /// Gives a column a default.
    Default,
    /// Makes a primary key, a unique or an exclusion constraint.
    Key,
    /// Makes an index.
    Index,
    /// Makes a statistics object.
    Statistics,
    /// Makes a check that its table was made without.
    Check,
    /// Makes an index a part of its parent's.
    Attach,
    /// Makes a foreign key.
    Foreign,
    /// Makes a trigger.
    Trigger,
    /// Makes a rule.
    Rule,
    /// Makes a policy.
    Policy,
    /// Says what can only be said once everything else is there.
    Finish,
    /// Comments on something.
    Comment,
    /// Sets a security label.
    Label,
    /// Gives something to its owner.
    Owner,
    /// Grants privileges.
    Grant,
    /// Says which privileges objects made later will get.
    DefaultGrant,
}

impl Kind {
    /// By the word that the queries use.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "type" => Self::Type,
            "routine" => Self::Routine,
            "sequence" => Self::Sequence,
            "table" => Self::Table,
            "column" => Self::Column,
            "view" => Self::View,
            "materialized" => Self::Materialized,
            "refresh" => Self::Refresh,
            "default" => Self::Default,
            "key" => Self::Key,
            "index" => Self::Index,
            "statistics" => Self::Statistics,
            "check" => Self::Check,
            "attach" => Self::Attach,
            "foreign" => Self::Foreign,
            "trigger" => Self::Trigger,
            "rule" => Self::Rule,
            "policy" => Self::Policy,
            "comment" => Self::Comment,
            "label" => Self::Label,
            "owner" => Self::Owner,
            "grant" => Self::Grant,
            "default-grant" => Self::DefaultGrant,
            // `finish`, the only one left.
            _ => Self::Finish,
        }
    }

    /// Whether it comes last of all, and makes nothing.
    #[must_use]
    pub fn finishes(self) -> bool {
        !self.makes() && !matches!(self, Self::Column | Self::Refresh | Self::Attach)
    }

    /// Whether it makes an object that others may need.
    #[must_use]
    pub fn makes(self) -> bool {
        matches!(
            self,
            Self::Type
                | Self::Routine
                | Self::Sequence
                | Self::Table
                | Self::View
                | Self::Materialized
                | Self::Default
                | Self::Key
                | Self::Index
                | Self::Statistics
                | Self::Check
                | Self::Foreign
        )
    }
}
