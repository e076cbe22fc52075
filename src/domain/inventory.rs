//! What is inside a slot, and how two contents differ: the relations, their columns, row counts
//! and definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelationKind {
    /// Rows of its own.
    Table,
    /// A stored query.
    View,
    /// A stored query with its result.
    MaterializedView,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type in the warehouse's words.
    pub data_type: String,
}

/// One relation as the warehouse describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// Its kind.
    pub kind: RelationKind,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// How many rows a table has (views are not counted).
    pub rows: Option<u64>,
    /// A view's text.
    pub definition: Option<String>,
    /// A digest of a table's rows, whatever their order, where it was asked for.
    #[serde(default)]
    pub content: Option<String>,
}

/// How closely an inventory looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Columns, definitions and row counts: quick whatever the size.
    Counts,
    /// Also a digest of every table's rows: reads everything once.
    Contents,
}

/// A relation's name inside its slot: schema and identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Local {
    /// The schema.
    pub schema: String,
    /// Its own name.
    pub identifier: String,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.identifier)
    }
}

/// Everything inside one slot (our own stamp aside).
pub type Inventory = BTreeMap<Local, Relation>;

/// How one relation differs between two contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// `schema.name`.
    pub relation: String,
    /// Rows before, where it was a table.
    pub rows_before: Option<u64>,
    /// Rows after, where it is a table.
    pub rows_after: Option<u64>,
    /// What happened to it.
    pub what: Vec<What>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It is new.
    New,
    /// It is no longer there.
    Gone,
    /// It was of another kind.
    Kind(RelationKind, RelationKind),
    /// A column was added.
    ColumnAdded(String),
    /// A column is no longer there.
    ColumnGone(String),
    /// A column's type changed (name, before, after).
    ColumnRetyped(String, String, String),
    /// The number of rows changed.
    Rows,
    /// A view's text changed.
    Definition,
    /// As many rows as before, but not the same ones.
    Content,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => write!(f, "new"),
            Self::Gone => write!(f, "gone"),
            Self::Kind(before, after) => write!(f, "{before:?} became {after:?}"),
            Self::ColumnAdded(name) => write!(f, "+{name}"),
            Self::ColumnGone(name) => write!(f, "-{name}"),
            Self::ColumnRetyped(name, before, after) => write!(f, "{name} {before} → {after}"),
            Self::Rows => write!(f, "rows"),
            Self::Definition => write!(f, "other definition"),
            Self::Content => write!(f, "other values"),
        }
    }
}

/// The tables that show no difference yet, and whose rows decide: as many, of the same columns.
#[must_use]
pub fn undecided(before: &Inventory, after: &Inventory) -> BTreeSet<Local> {
    let alike = |old: &Relation, new: &Relation| {
        old.rows == new.rows && old.rows.is_some_and(|rows| rows > 0) && old.columns == new.columns
    };
    let both = before.iter().filter_map(|(name, old)| Some((name, old, after.get(name)?)));
    both.filter(|(_, old, new)| alike(old, new)).map(|(name, ..)| name.clone()).collect()
}

/// The differences between two contents, in name order; relations without any are left out.
#[must_use]
pub fn compare(before: &Inventory, after: &Inventory) -> Vec<Change> {
    let mut names: Vec<&Local> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| {
            let (old, new) = (before.get(name), after.get(name));
            let what = match (old, new) {
                (Some(old), Some(new)) => differences(old, new),
                (None, Some(_)) => vec![What::New],
                (Some(_), None) => vec![What::Gone],
                (None, None) => Vec::new(),
            };
            (!what.is_empty()).then(|| Change {
                relation: name.to_string(),
                rows_before: old.and_then(|relation| relation.rows),
                rows_after: new.and_then(|relation| relation.rows),
                what,
            })
        })
        .collect()
}

fn differences(old: &Relation, new: &Relation) -> Vec<What> {
    let mut what = Vec::new();
    if old.kind != new.kind {
        what.push(What::Kind(old.kind, new.kind));
    }
    for column in &old.columns {
        match new.columns.iter().find(|other| other.name == column.name) {
            None => what.push(What::ColumnGone(column.name.clone())),
            Some(other) if other.data_type != column.data_type => what.push(What::ColumnRetyped(
                column.name.clone(),
                column.data_type.clone(),
                other.data_type.clone(),
            )),
            Some(_) => {}
        }
    }
    for column in &new.columns {
        if !old.columns.iter().any(|other| other.name == column.name) {
            what.push(What::ColumnAdded(column.name.clone()));
        }
    }
    if old.rows != new.rows && old.rows.is_some() && new.rows.is_some() {
        what.push(What::Rows);
    }
    if old.rows == new.rows && old.content.is_some() && new.content.is_some() {
        let same_columns = old.columns == new.columns;
        if same_columns && old.content != new.content {
            what.push(What::Content);
        }
    }
    if old.kind == new.kind && old.definition != new.definition {
        what.push(What::Definition);
    }
    what
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation((rows, column, content): (Option<u64>, u8, u8)) -> Relation {
        // Tables without rows have the same rows, and views have none of their own.
        let content = rows.map(|rows| if rows == 0 { 0 } else { content });
        Relation {
            kind: if rows.is_some() { RelationKind::Table } else { RelationKind::View },
            columns: vec![Column { name: "a".to_owned(), data_type: column.to_string() }],
            rows,
            definition: None,
            content: content.map(|content| content.to_string()),
        }
    }

    fn inventory(of: &BTreeMap<u8, (Option<u64>, u8, u8)>) -> Inventory {
        let local = |name: &u8| Local { schema: "s".to_owned(), identifier: name.to_string() };
        of.iter().map(|(name, one)| (local(name), relation(*one))).collect()
    }

    fn digested(all: &Inventory, of: &BTreeSet<Local>) -> Inventory {
        let mut all = all.clone();
        for (name, relation) in &mut all {
            relation.content = relation.content.take().filter(|_| of.contains(name));
        }
        all
    }

    proptest::proptest! {
        #[test]
        fn digests_of_what_is_undecided_tell_as_much_as_those_of_everything(
            before in proptest::collection::btree_map(
                0_u8..6, (proptest::option::weighted(0.9, 0_u64..3), 0_u8..2, 0_u8..2), 0..6),
            after in proptest::collection::btree_map(
                0_u8..6, (proptest::option::weighted(0.9, 0_u64..3), 0_u8..2, 0_u8..2), 0..6),
        ) {
            let (before, after) = (inventory(&before), inventory(&after));
            let of = undecided(&before, &after);
            let told = compare(&digested(&before, &of), &digested(&after, &of));
            proptest::prop_assert_eq!(told, compare(&before, &after));
        }
    }
}
