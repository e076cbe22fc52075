//! Gates: whether a build may be published, judged by comparing it with live; and loss: what a
//! rollback would take out of production.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::inventory::{Change, Inventory, Local, RelationKind, What, compare};
use super::project::{NodeKind, Written};

/// What a gate does with what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The deploy stops before publishing.
    Stop,
    /// It is shown.
    Warn,
    /// It is not looked at.
    Off,
}

/// A query that must return no row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SqlCheck {
    /// What it checks, as it is reported.
    pub name: String,
    /// The query, run read-only in the build; each row it returns is a failure.
    pub sql: String,
}

/// The gates of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Gates {
    /// A relation that live has is missing from the build.
    pub relations_gone: Action,
    /// A column that live has is missing from the build.
    pub columns_gone: Action,
    /// A column's type differs.
    pub columns_retyped: Action,
    /// A table that has rows in live has none in the build.
    pub emptied: Action,
    /// A table lost more than `rows-dropped-percent` of its rows.
    pub rows_dropped: Action,
    /// See `rows-dropped`; 0 to 100.
    pub rows_dropped_percent: u8,
    /// Whether tables are compared by a digest of their rows too, so that the report names those
    /// whose values changed while the count stayed. Reads live and build once.
    pub compare_contents: bool,
    /// Queries that must return no row.
    pub checks: Vec<SqlCheck>,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            relations_gone: Action::Stop,
            columns_gone: Action::Warn,
            columns_retyped: Action::Warn,
            emptied: Action::Stop,
            rows_dropped: Action::Warn,
            rows_dropped_percent: 50,
            compare_contents: true,
            checks: Vec::new(),
        }
    }
}

/// One thing a gate found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// The gate's key in `switchback.yml`.
    pub gate: String,
    /// What is done about it.
    pub action: Action,
    /// What was found.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.gate)
    }
}

/// Judges the differences between live and the build. `allowed` names relations (`schema.name`)
/// that may go, lose columns or be emptied. `after` tells which relations are tables.
#[must_use]
pub fn judge(changes: &[Change], gates: &Gates, allowed: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |gate: &str, action: Action, message: String| {
        if action != Action::Off {
            findings.push(Finding { gate: gate.to_owned(), action, message });
        }
    };
    for change in changes.iter().filter(|change| !allowed.contains(&change.relation)) {
        let name = &change.relation;
        for what in &change.what {
            match what {
                What::Gone => find(
                    "relations-gone",
                    gates.relations_gone,
                    format!("{name} is in production but not in the build"),
                ),
                What::ColumnGone(column) => find(
                    "columns-gone",
                    gates.columns_gone,
                    format!("{name} has no column {column} any more"),
                ),
                What::ColumnRetyped(column, before, after) => find(
                    "columns-retyped",
                    gates.columns_retyped,
                    format!("{name}.{column} was {before} and is {after}"),
                ),
                What::New
                | What::Kind(..)
                | What::ColumnAdded(_)
                | What::Rows
                | What::Content
                | What::Definition => {}
            }
        }
        let (Some(before), Some(after)) = (change.rows_before, change.rows_after) else {
            continue;
        };
        let kept_percent = u64::from(100 - gates.rows_dropped_percent.min(100));
        if before > 0 && after == 0 {
            find("emptied", gates.emptied, format!("{name} had {before} rows and has none"));
        } else if u128::from(after) * 100 < u128::from(before) * u128::from(kept_percent) {
            find(
                "rows-dropped",
                gates.rows_dropped,
                format!("{name} had {before} rows and has {after}"),
            );
        }
    }
    findings
}

/// What a rollback would take out of production. Everything stays readable in the archive of the
/// release it displaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Loss {
    /// Relations that dbt can rebuild from its sources.
    pub rebuildable: Vec<Change>,
    /// Snapshots: versions that dbt recorded and cannot rebuild.
    pub snapshot_versions: Vec<Change>,
    /// Relations that dbt does not write, such as raw loads in the same file.
    pub not_written_by_dbt: Vec<Change>,
}

impl Loss {
    /// Whether something would go that dbt cannot make again.
    #[must_use]
    pub fn is_irreplaceable(&self) -> bool {
        !self.snapshot_versions.is_empty() || !self.not_written_by_dbt.is_empty()
    }
}

/// Compares what is live with what would be live: by rows where both inventories have digests of
/// them, otherwise by counts. Relations that dbt writes are told by what the releases recorded.
#[must_use]
pub fn loss(live: &Inventory, target: &Inventory, writes: &[Written]) -> Loss {
    let kinds: BTreeMap<(&str, &str), NodeKind> = writes
        .iter()
        .map(|one| ((one.schema.as_str(), one.identifier.as_str()), one.kind))
        .collect();
    let by_name: BTreeMap<String, (&Local, RelationKind)> =
        live.iter().map(|(name, one)| (name.to_string(), (name, one.kind))).collect();
    let mut loss = Loss::default();
    for change in compare(live, target) {
        let Some((name, kind)) = by_name.get(&change.relation) else {
            continue; // It exists only in the target: nothing goes.
        };
        let rows_go = change.rows_before > change.rows_after.or(Some(0))
            || change
                .what
                .iter()
                .any(|what| matches!(what, What::Gone | What::ColumnGone(_) | What::Content));
        match kinds.get(&(name.schema.as_str(), name.identifier.as_str())) {
            Some(NodeKind::Snapshot) if rows_go => loss.snapshot_versions.push(change),
            None if *kind == RelationKind::Table && rows_go => {
                loss.not_written_by_dbt.push(change);
            }
            Some(_) | None => loss.rebuildable.push(change),
        }
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inventory::{Column, Relation};

    fn table(rows: u64, columns: &[&str]) -> Relation {
        Relation {
            kind: RelationKind::Table,
            columns: columns
                .iter()
                .map(|name| Column { name: (*name).into(), data_type: "INTEGER".into() })
                .collect(),
            rows: Some(rows),
            definition: None,
            content: None,
        }
    }

    fn inventory(relations: &[(&str, Relation)]) -> Inventory {
        relations
            .iter()
            .map(|(name, relation)| {
                let (schema, identifier) = name.split_once('.').unwrap();
                let name = Local { schema: schema.into(), identifier: identifier.into() };
                (name, relation.clone())
            })
            .collect()
    }

    fn judged(before: &Inventory, after: &Inventory, allowed: &[&str]) -> Vec<(String, Action)> {
        let allowed = allowed.iter().map(|name| (*name).to_owned()).collect();
        judge(&compare(before, after), &Gates::default(), &allowed)
            .into_iter()
            .map(|finding| (finding.gate, finding.action))
            .collect()
    }

    #[test]
    fn a_relation_that_vanishes_stops_unless_it_is_allowed_by_name() {
        let before = inventory(&[("main.a", table(1, &["x"]))]);
        assert_eq!(
            judged(&before, &inventory(&[]), &[]),
            [("relations-gone".to_owned(), Action::Stop)]
        );
        assert!(judged(&before, &inventory(&[]), &["main.a"]).is_empty());
    }

    #[test]
    fn an_emptied_table_stops_and_a_halved_one_warns() {
        let before = inventory(&[("main.a", table(100, &["x"])), ("main.b", table(100, &["x"]))]);
        let after = inventory(&[("main.a", table(0, &["x"])), ("main.b", table(49, &["x"]))]);
        assert_eq!(
            judged(&before, &after, &[]),
            [("emptied".to_owned(), Action::Stop), ("rows-dropped".to_owned(), Action::Warn)]
        );
    }

    #[test]
    fn growth_and_new_columns_find_nothing() {
        let before = inventory(&[("main.a", table(1, &["x"]))]);
        let after = inventory(&[("main.a", table(2, &["x", "y"])), ("main.b", table(0, &[]))]);
        assert!(judged(&before, &after, &[]).is_empty());
    }

    #[test]
    fn loss_tells_what_dbt_can_rebuild_from_what_it_cannot() {
        let live = inventory(&[
            ("main.orders", table(10, &["x"])),
            ("main.history", table(10, &["x"])),
            ("raw.loads", table(10, &["x"])),
        ]);
        let target = inventory(&[
            ("main.orders", table(9, &["x"])),
            ("main.history", table(8, &["x"])),
            ("raw.loads", table(7, &["x"])),
        ]);
        let written = |identifier: &str, kind| Written {
            schema: "main".into(),
            identifier: identifier.into(),
            kind,
        };
        let writes = [written("orders", NodeKind::Model), written("history", NodeKind::Snapshot)];
        let loss = loss(&live, &target, &writes);
        assert_eq!(loss.rebuildable[0].relation, "main.orders");
        assert_eq!(loss.snapshot_versions[0].relation, "main.history");
        assert_eq!(loss.not_written_by_dbt[0].relation, "raw.loads");
        assert!(loss.is_irreplaceable());
    }
}
