//! What is said when: what tables need before their rows, what hangs on tables right after their
//! rows, and everything else at the end. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::Oid;

use super::super::definitions::{Address, Definitions, Kind, Node};
use super::read::Original;
use crate::failure::Failure;

/// What is said when.
#[derive(Default)]
pub struct Plan {
    /// Types, functions, sequences and tables that rows need.
    pub before: Vec<String>,
    /// Tables, by their OIDs, that are made together with their rows.
    pub whole: BTreeSet<Oid>,
    /// What hangs on one table, by its OID.
    pub along: BTreeMap<Oid, Along>,
    /// Foreign keys between tables with rows.
    pub foreign: Vec<Foreign>,
    /// Views, other foreign keys and everything else that makes something.
    pub after: Vec<String>,
}

/// What follows a table's rows.
#[derive(Default)]
pub struct Along {
    /// They can be made at the same time.
    pub indexes: Vec<String>,
    /// What locks the table for itself and needs the indexes: keys, statistics objects.
    pub rest: Vec<String>,
}

/// A foreign key.
pub struct Foreign {
    /// What to say.
    pub text: String,
    /// The tables that are locked meanwhile, by their OIDs.
    pub tables: BTreeSet<Oid>,
}

impl Plan {
    /// Decides. Of the tables that `may` be made with their rows those are that nothing needs before.
    pub fn of(original: &Original, may: &BTreeSet<Oid>) -> Result<Self, Failure> {
        let definitions = &original.definitions;
        let tables: BTreeSet<Oid> = original.tables.iter().map(|table| table.oid).collect();
        let with_table = |kind: Kind, table: Oid| {
            matches!(kind, Kind::Key | Kind::Index | Kind::Statistics) && tables.contains(&table)
        };
        let making = definitions.making()?;
        let first = addresses(&making, |kind, _| matches!(kind, Kind::Table | Kind::Sequence));
        let hanging = addresses(&making, with_table);
        let early = definitions.with_needs(first);
        let needed = definitions.with_needs(hanging.iter().copied());
        let along =
            |node: &Node| with_table(node.kind, node.table) && !early.contains(&node.address);
        let before = |node: &Node| {
            !along(node)
                && node.kind != Kind::Foreign
                && (early.contains(&node.address) || needed.contains(&node.address))
        };
        let whole = whole(definitions, making.iter().copied().filter(|node| before(node)), may);
        let mut plan = Self { whole, ..Self::default() };
        let mut foreign = Vec::new();
        let mut table_of = BTreeMap::new();
        for node in making {
            if along(node) {
                table_of.insert(node.address, node.table);
                plan.along.entry(node.table).or_default().add(node);
            } else if node.kind == Kind::Foreign {
                foreign.push(node);
            } else if before(node) {
                table_of.insert(node.address, node.address.1);
                if node.kind != Kind::Table || !plan.whole.contains(&node.table) {
                    plan.before.extend(node.statements.iter().cloned());
                }
            } else {
                plan.after.extend(node.statements.iter().cloned());
            }
        }
        // A partitioned index counts once all its parts are there, and a foreign key needs it.
        let attach = definitions.nodes.iter().filter(|node| node.kind == Kind::Attach);
        plan.after.extend(attach.flat_map(|node| node.statements.iter().cloned()));
        for node in foreign {
            let needs = definitions.needs.get(&node.address);
            match tables_of(node, needs.into_iter().flatten(), &table_of, &tables) {
                Some(tables) => {
                    plan.foreign.push(Foreign { text: node.statements.join(";\n"), tables });
                }
                None => plan.after.extend(node.statements.iter().cloned()),
            }
        }
        Ok(plan)
    }
}

impl Along {
    fn add(&mut self, node: &Node) {
        let text = node.statements.join(";\n");
        let makes_its_index = |text: &String| text.starts_with("CREATE UNIQUE INDEX");
        match (node.kind, node.statements.split_last()) {
            (Kind::Index, _) => self.indexes.push(text),
            (Kind::Key, Some((names, first))) if first.iter().any(makes_its_index) => {
                self.indexes.push(first.join(";\n"));
                self.rest.push(names.clone());
            }
            _ => self.rest.push(text),
        }
    }
}

/// Of tables those that nothing of what is said before rows describes or needs, but what makes them.
fn whole<'a>(
    definitions: &Definitions,
    before: impl Iterator<Item = &'a Node>,
    may: &BTreeSet<Oid>,
) -> BTreeSet<Oid> {
    let mut whole = may.clone();
    let mut own = BTreeMap::new();
    let before: Vec<&Node> = before.collect();
    for node in before.iter().filter(|node| node.kind == Kind::Table) {
        own.insert(node.address, node.table);
    }
    for node in before {
        if node.kind != Kind::Table {
            whole.remove(&node.table);
        }
        for needed in definitions.needs.get(&node.address).into_iter().flatten() {
            if let Some(table) = own.get(needed).filter(|table| **table != node.table) {
                whole.remove(table);
            }
        }
    }
    whole
}

/// The tables of a foreign key that needs nothing else; `None` where it does.
fn tables_of<'a>(
    node: &Node,
    needs: impl Iterator<Item = &'a Address>,
    table_of: &BTreeMap<Address, Oid>,
    tables: &BTreeSet<Oid>,
) -> Option<BTreeSet<Oid>> {
    let own = Some(node.table);
    let all = needs.map(|address| table_of.get(address).copied()).chain([own]);
    all.map(|table| table.filter(|table| tables.contains(table))).collect()
}

fn addresses(making: &[&Node], wanted: impl Fn(Kind, Oid) -> bool) -> BTreeSet<Address> {
    making.iter().filter(|node| wanted(node.kind, node.table)).map(|node| node.address).collect()
}

#[cfg(test)]
mod tests {
    use super::super::read::Table;
    use super::*;

    const CLASS: Oid = 1259;

    fn node(kind: Kind, id: Oid, table: Oid) -> Node {
        let statements = vec![format!("{kind:?} {id}")];
        Node { address: (CLASS, id), table, kind, role: None, statements }
    }

    #[test]
    fn only_tables_that_nothing_needs_before_rows_are_made_with_them() {
        let nodes = vec![
            node(Kind::Table, 1, 1),
            node(Kind::Table, 2, 2),
            node(Kind::Column, 2, 2),
            node(Kind::Table, 3, 3),
            node(Kind::Routine, 30, 0),
            node(Kind::Index, 31, 3),
            node(Kind::Table, 4, 4),
            node(Kind::View, 40, 40),
            node(Kind::Default, 41, 4),
            node(Kind::Comment, 4, 4),
            node(Kind::Table, 5, 5),
        ];
        let needs: [(Oid, &[Oid]); 4] = [(30, &[3]), (31, &[3, 30]), (40, &[4]), (41, &[4])];
        let place = |id: &Oid| (CLASS, *id);
        let needs = needs.map(|(id, of)| ((CLASS, id), of.iter().map(place).collect()));
        let table = |oid| Table {
            oid,
            live: ("a".into(), oid.to_string()),
            build: format!("b.t{oid}"),
            bytes: 1,
            pages: 1,
            insert: None,
            whole: None,
        };
        let original = Original {
            definitions: Definitions { nodes, needs: needs.into() },
            tables: (1..=5).map(table).collect(),
            counters: Vec::new(),
            snapshot: String::new(),
            bare: BTreeMap::new(),
            notes: Vec::new(),
        };
        let plan = Plan::of(&original, &BTreeSet::from([1, 2, 3, 4])).unwrap();
        // Of 2 it is said how its columns are stored, and an index of 3 calls a function of its rows.
        assert_eq!(plan.whole, BTreeSet::from([1, 4]));
        assert_eq!(plan.before, ["Table 2", "Column 2", "Table 3", "Routine 30", "Table 5"]);
    }
}
