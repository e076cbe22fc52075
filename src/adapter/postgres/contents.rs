//! What is inside a schema: relations, their columns, rows and texts; queries of the gates.
//!
//! Invariant: everything is read in one transaction that can only read. May import `domain`,
//! `failure`, `ports` and this adapter's files.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join;
use tokio_postgres::{GenericClient, IsolationLevel, SimpleQueryMessage, Transaction};

use super::warehouse::Postgres;
use super::{sql, stamp, words};
use crate::adapter::sql::identifier;
use crate::domain::inventory::{
    Column, Depth, Inventory, Local, Relation, RelationKind, undecided,
};
use crate::domain::name::SlotName;
use crate::domain::plan::Pair;
use crate::failure::Failure;
use crate::ports::{Answer, PortError, Rows, rows};

/// A relation as the catalogs list it.
pub(super) struct Listed {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) oid: u32,
    pub(super) owner: String,
    /// Whether it has rows of its own that can be counted.
    pub(super) countable: bool,
    /// Whether equal values have equal digests, in whatever schema it lies.
    pub(super) by_value: bool,
}

/// The relations of schemas, in name order, stamps left out unless they are asked for.
pub(super) async fn relations(
    tx: &impl GenericClient,
    schemas: &[String],
    with_stamps: bool,
) -> Result<Vec<Listed>, tokio_postgres::Error> {
    let except = if with_stamps { "" } else { stamp::TABLE };
    let rows = tx.query(sql::RELATIONS, &[&schemas, &except]).await?;
    let listed = |row: &tokio_postgres::Row| Listed {
        schema: row.get(0),
        name: row.get(1),
        kind: row.get(2),
        oid: row.get(3),
        owner: row.get(4),
        countable: row.get(5),
        by_value: row.get(6),
    };
    Ok(rows.iter().map(listed).collect())
}

impl Postgres {
    pub(super) async fn list(
        &self,
        slot: &SlotName,
        live: &SlotName,
        depth: Depth,
    ) -> Answer<Inventory> {
        let mut fresh = self.sessions.fresh().await?;
        let doing = format!("reading what is in the schema {slot}");
        let tx = reader(&mut fresh.client).await.map_err(|e| words::refused(&doing, &e))?;
        let listing = async {
            let aliases = self.siblings(&tx, slot).await?;
            set_path(&tx, slot, &aliases).await?;
            let listed = relations(&tx, std::slice::from_ref(&slot.0), false).await?;
            let oids: Vec<u32> = listed.iter().map(|one| one.oid).collect();
            let mut columns: BTreeMap<u32, Vec<Column>> = BTreeMap::new();
            for row in tx.query(sql::COLUMNS, &[&oids]).await? {
                let column = Column { name: row.get(1), data_type: row.get(2) };
                columns.entry(row.get(0)).or_default().push(column);
            }
            let mut texts: BTreeMap<u32, String> = BTreeMap::new();
            for row in tx.query(sql::VIEWS, &[&oids]).await? {
                texts.insert(row.get(0), as_live(row.get(1), &aliases));
            }
            let mut found = Inventory::new();
            for one in listed {
                let (rows, content) = counted(&tx, &one, depth).await?;
                let relation = Relation {
                    kind: kind(&one.kind),
                    columns: columns.remove(&one.oid).unwrap_or_default(),
                    rows,
                    definition: texts.remove(&one.oid),
                    content,
                };
                let local = Local { schema: live.0.clone(), identifier: one.name };
                found.insert(local, relation);
            }
            Ok::<_, tokio_postgres::Error>(found)
        };
        listing.await.map_err(|error| words::refused(&doing, &error))
    }

    /// Both sides of a comparison. Counting comes first: only rows that are as many on both sides are
    /// worth a digest.
    pub(super) async fn list_all(
        &self,
        pairs: &[Pair],
        compared: u64,
    ) -> Answer<(Inventory, Inventory)> {
        let (mut live, mut other) = (Inventory::new(), Inventory::new());
        for pair in pairs {
            let one = self.list(&pair.live, &pair.live, Depth::Counts);
            let two = self.list(&pair.other, &pair.live, Depth::Counts);
            let (one, two) = try_join(one, two).await?;
            live.extend(one);
            other.extend(two);
        }
        let mut both = (live, other);
        if compared == 0 || (compared != u64::MAX && rows(&both) > compared) {
            return Ok(both);
        }
        let undecided = undecided(&both.0, &both.1);
        for pair in pairs {
            let one = self.digests(&pair.live, &pair.live, &undecided);
            let two = self.digests(&pair.other, &pair.live, &undecided);
            let (one, two) = try_join(one, two).await?;
            for (side, digests) in [(&mut both.0, one), (&mut both.1, two)] {
                for (name, (rows, content)) in digests {
                    if let Some(relation) = side.get_mut(&name) {
                        (relation.rows, relation.content) = (rows, content);
                    }
                }
            }
        }
        Ok(both)
    }

    /// Rows, and a digest of them, of those tables of a slot that are asked for by their names in live.
    async fn digests(
        &self,
        slot: &SlotName,
        live: &SlotName,
        of: &BTreeSet<Local>,
    ) -> Answer<BTreeMap<Local, (Option<u64>, Option<String>)>> {
        let mut fresh = self.sessions.fresh().await?;
        let doing = format!("comparing what is in the schema {slot}");
        let tx = reader(&mut fresh.client).await.map_err(|e| words::refused(&doing, &e))?;
        let reading = async {
            let mut found = BTreeMap::new();
            for one in relations(&tx, std::slice::from_ref(&slot.0), false).await? {
                let name = Local { schema: live.0.clone(), identifier: one.name.clone() };
                if of.contains(&name) {
                    found.insert(name, counted(&tx, &one, Depth::Contents).await?);
                }
            }
            Ok::<_, tokio_postgres::Error>(found)
        };
        reading.await.map_err(|error| words::refused(&doing, &error))
    }

    /// Every other name of this environment's slots that a text in `slot` may hold.
    async fn siblings(
        &self,
        tx: &impl GenericClient,
        slot: &SlotName,
    ) -> Result<BTreeMap<String, String>, tokio_postgres::Error> {
        let table = sql::name(slot.as_str(), stamp::TABLE);
        let stamped = tx.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?;
        let mut release = None;
        if stamped.get(0) {
            let row = tx.query_opt(stamp::read(&[slot.as_str()]).as_str(), &[]).await?;
            release = row.and_then(|row| row.get::<_, Option<String>>(1));
        }
        Ok(self.aliases(release.and_then(|text| text.parse().ok())))
    }

    /// Runs a check's query inside a slot, where names without a schema mean the slot's.
    pub(super) async fn ask_in(&self, slot: &SlotName, sql: &str, limit: usize) -> Answer<Rows> {
        let mut fresh = self.sessions.fresh().await?;
        let doing = format!("running a check in the schema {slot}");
        let no = |error| words::refused(&doing, &error);
        let tx = reader(&mut fresh.client).await.map_err(no)?;
        let aliases = self.siblings(&tx, slot).await.map_err(no)?;
        set_path(&tx, slot, &aliases).await.map_err(no)?;
        let query = sql.trim().trim_end_matches(';');
        let declared = format!("DECLARE \"switchback check\" NO SCROLL CURSOR FOR {query}");
        tx.batch_execute(&declared).await.map_err(no)?;
        let lives = self.lives();
        if !lives.contains(&slot.0) {
            let read = tx.query(sql::READ_HERE, &[&lives]).await.map_err(no)?;
            if let Some(row) = read.first() {
                let name: String = row.get(0);
                return Err(PortError::Refused(
                    Failure::usage(format!(
                        "a check reads production ({name}) and not the build: {query}"
                    ))
                    .next("write the names in `gates: checks` without their schemas"),
                ));
            }
        }
        let fetched = format!("FETCH {limit} FROM \"switchback check\"");
        let messages = tx.simple_query(&fetched).await.map_err(no)?;
        let mut rows = Rows::default();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    rows.columns = columns.iter().map(|one| one.name().to_owned()).collect();
                }
                SimpleQueryMessage::Row(row) => {
                    let values = (0..row.len()).map(|at| row.get(at).map(str::to_owned));
                    rows.rows.push(values.collect());
                }
                _ => {}
            }
        }
        Ok(rows)
    }
}

/// A transaction that reads one moment and can write nothing.
pub(super) async fn reader(
    client: &mut tokio_postgres::Client,
) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let moment = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    moment.read_only(true).start().await
}

/// Makes the slot's names, and those of the slots beside it, be printed and read without schemas.
async fn set_path(
    tx: &impl GenericClient,
    slot: &SlotName,
    aliases: &BTreeMap<String, String>,
) -> Result<(), tokio_postgres::Error> {
    let mut path = vec![slot.as_str()];
    // Of live the other live slots, of a build the other builds.
    let lives: BTreeSet<&str> = aliases.values().map(String::as_str).collect();
    if lives.contains(slot.as_str()) {
        path.extend(lives.iter().filter(|name| **name != slot.as_str()));
    } else {
        path.extend(aliases.keys().map(String::as_str).filter(|name| *name != slot.as_str()));
    }
    tx.batch_execute(&sql::search_path(&path)).await
}

/// A text with the names that slots have elsewhere replaced by those that they have live.
fn as_live(text: String, aliases: &BTreeMap<String, String>) -> String {
    aliases.iter().fold(text, |text, (alias, live)| {
        let quoted =
            text.replace(&format!("{}.", identifier(alias)), &format!("{}.", identifier(live)));
        quoted.replace(&format!("{alias}."), &format!("{live}."))
    })
}

async fn counted(
    tx: &impl GenericClient,
    one: &Listed,
    depth: Depth,
) -> Result<(Option<u64>, Option<String>), tokio_postgres::Error> {
    if !one.countable {
        return Ok((None, None));
    }
    let count = |row: &tokio_postgres::Row| u64::try_from(row.get::<_, i64>(0)).ok();
    match depth {
        Depth::Counts => {
            let row = tx.query_one(sql::count(&one.schema, &one.name).as_str(), &[]).await?;
            Ok((count(&row), None))
        }
        Depth::Contents => {
            let text = sql::digest(&one.schema, &one.name, one.by_value);
            let row = tx.query_one(text.as_str(), &[]).await?;
            Ok((count(&row), row.get(1)))
        }
    }
}

fn kind(relkind: &str) -> RelationKind {
    match relkind {
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        _ => RelationKind::Table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_a_build_reads_as_that_of_live() {
        let aliases = BTreeMap::from([("shop__build_r2".to_owned(), "shop".to_owned())]);
        let text = "SELECT 1 FROM shop__build_r2.a, \"shop__build_r2\".b".to_owned();
        assert_eq!(as_live(text, &aliases), "SELECT 1 FROM shop.a, \"shop\".b");
    }
}
