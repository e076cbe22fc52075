//! What is said when: what tables need before their rows, what hangs on tables right after their
//! rows, and everything else at the end. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::Oid;

use super::super::definitions::{Address, Kind, Node};
use super::read::Original;
use crate::failure::Failure;

/// What is said when.
#[derive(Default)]
pub struct Plan {
    /// Types, functions, sequences and tables that rows need.
    pub before: Vec<String>,
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
    /// Decides.
    pub fn of(original: &Original) -> Result<Self, Failure> {
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
        let mut plan = Self::default();
        let mut foreign = Vec::new();
        let mut table_of = BTreeMap::new();
        for node in making {
            if with_table(node.kind, node.table) && !early.contains(&node.address) {
                table_of.insert(node.address, node.table);
                plan.along.entry(node.table).or_default().add(node);
            } else if node.kind == Kind::Foreign {
                foreign.push(node);
            } else if early.contains(&node.address) || needed.contains(&node.address) {
                table_of.insert(node.address, node.address.1);
                plan.before.extend(node.statements.iter().cloned());
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
