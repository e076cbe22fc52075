//! What is said when: what tables need before their rows, what hangs on one table right after its
//! rows, and everything else at the end. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::Oid;

use super::super::definitions::{Address, Kind};
use super::read::Original;
use crate::failure::Failure;

/// What is said when.
#[derive(Default)]
pub struct Plan {
    /// Types, functions, sequences and tables that rows need.
    pub before: Vec<String>,
    /// Keys, indexes and statistics objects of each table with rows, by its OID.
    pub along: BTreeMap<Oid, Vec<String>>,
    /// Views, foreign keys and everything else that makes something.
    pub after: Vec<String>,
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
        for node in making {
            let statements = node.statements.iter().cloned();
            if node.kind == Kind::Foreign {
                foreign.extend(statements);
            } else if early.contains(&node.address) {
                plan.before.extend(statements);
            } else if with_table(node.kind, node.table) {
                plan.along.entry(node.table).or_default().extend(statements);
            } else if needed.contains(&node.address) {
                plan.before.extend(statements);
            } else {
                plan.after.extend(statements);
            }
        }
        // A partitioned index counts once all its parts are there, and a foreign key needs it.
        let attach = definitions.nodes.iter().filter(|node| node.kind == Kind::Attach);
        plan.after.extend(attach.flat_map(|node| node.statements.iter().cloned()));
        plan.after.append(&mut foreign);
        Ok(plan)
    }
}

fn addresses(
    making: &[&super::super::definitions::Node],
    wanted: impl Fn(Kind, Oid) -> bool,
) -> BTreeSet<Address> {
    making.iter().filter(|node| wanted(node.kind, node.table)).map(|node| node.address).collect()
}
