//! Definitions as PostgreSQL prints them: the statements that make objects again, and what each of
//! them needs. Read for whole schemas (to copy them) and for single objects (to make dependents
//! anew).
//!
//! Invariants: names are printed whole, so a session whose search path is `pg_catalog` reads; a
//! statement holds no name that PostgreSQL did not print or quote itself; the same objects read twice
//! give the same statements in the same order. Works on PostgreSQL 12 and newer.
//!
//! May import `ports` and its siblings.

mod kind;
mod order;
mod version;

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::Oid;
use tokio_postgres::{Client, Row};

pub use kind::Kind;
pub use order::head;
pub use version::Version;

use super::words;
use crate::ports::Answer;

/// An object: its catalog and its row there.
pub type Address = (Oid, Oid);

/// One thing to say, in one or more statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The object that it makes or describes.
    pub address: Address,
    /// The table that it hangs on, or 0.
    pub table: Oid,
    /// What it does.
    pub kind: Kind,
    /// The role that it needs: the owner to be, the grantor.
    pub role: Option<String>,
    /// What to say.
    pub statements: Vec<String>,
}

/// Which objects to read.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Schemas, for their owners, grants and default privileges only.
    pub schemas: Vec<Oid>,
    /// Tables, views, materialized views, sequences.
    pub relations: Vec<Oid>,
    /// Types of their own: enums, domains, ranges, composite types.
    pub types: Vec<Oid>,
    /// Functions, procedures, aggregates.
    pub routines: Vec<Oid>,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// In the order of kinds.
    pub nodes: Vec<Node>,
    /// What must be there before an object is made.
    pub needs: BTreeMap<Address, BTreeSet<Address>>,
}

const DOING: &str = "reading definitions";

impl Scope {
    /// Everything that can be defined again in those schemas.
    pub async fn of_schemas(client: &Client, schemas: &[Oid]) -> Answer<Self> {
        let class = class_of(client, "pg_class").await?;
        let kind = class_of(client, "pg_type").await?;
        let mut scope = Self { schemas: schemas.to_vec(), ..Self::default() };
        for row in rows(client, include_str!("sql/scope.sql"), &[&schemas]).await? {
            let (of, id): (Oid, Oid) = (row.get("class"), row.get("id"));
            if of == class {
                scope.relations.push(id);
            } else if of == kind {
                scope.types.push(id);
            } else {
                scope.routines.push(id);
            }
        }
        Ok(scope)
    }
}

/// Reads the definitions of everything in the scope.
pub async fn read(client: &Client, scope: &Scope) -> Answer<Definitions> {
    let version = Version::of(client).await?;
    let mut nodes = Vec::new();
    let relations = &scope.relations;
    for (sql, of) in [
        (include_str!("sql/types.sql"), &scope.types),
        (include_str!("sql/routines.sql"), &scope.routines),
        (include_str!("sql/sequences.sql"), relations),
        (include_str!("sql/tables.sql"), relations),
        (include_str!("sql/columns.sql"), relations),
        (include_str!("sql/views.sql"), relations),
        (include_str!("sql/defaults.sql"), relations),
        (include_str!("sql/constraints.sql"), relations),
        (include_str!("sql/indexes.sql"), relations),
        (include_str!("sql/behaviour.sql"), relations),
    ] {
        if !of.is_empty() {
            nodes.extend(rows(client, &version.spell(sql), &[of]).await?.iter().map(node));
        }
    }
    let told: BTreeSet<Address> = nodes.iter().map(|node| node.address).collect();
    let remarks = include_str!("sql/remarks.sql");
    let remarks = rows(client, remarks, &[relations, &scope.types, &scope.routines]).await?;
    nodes.extend(remarks.iter().map(node));
    for sql in [include_str!("sql/owners.sql"), include_str!("sql/grants.sql")] {
        let found =
            rows(client, sql, &[relations, &scope.types, &scope.routines, &scope.schemas]).await?;
        nodes.extend(found.iter().map(node));
    }
    let later = rows(client, include_str!("sql/default_grants.sql"), &[&scope.schemas]).await?;
    nodes.extend(later.iter().map(node));
    nodes.retain(|node| !node.statements.is_empty());
    let needs = needs(client, &version, scope, &told).await?;
    Ok(Definitions { nodes, needs })
}

/// What lies in those schemas and cannot be defined again, as PostgreSQL describes it.
pub async fn left_out(client: &Client, schemas: &[Oid]) -> Answer<Vec<String>> {
    let found = rows(client, include_str!("sql/left.sql"), &[&schemas]).await?;
    Ok(found.iter().map(|row| row.get("what")).collect())
}

/// The OIDs of schemas by name; those that do not exist are left out.
pub async fn schema_oids(client: &Client, names: &[String]) -> Answer<BTreeMap<String, Oid>> {
    let sql =
        "SELECT nspname::text AS name, oid FROM pg_namespace WHERE nspname = ANY ($1::text[])";
    let found = rows(client, sql, &[&names]).await?;
    Ok(found.iter().map(|row| (row.get("name"), row.get("oid"))).collect())
}

/// The OID of a catalog.
pub async fn class_of(client: &Client, catalog: &str) -> Answer<Oid> {
    let sql = "SELECT ('pg_catalog.' || $1::text)::regclass::oid AS class";
    Ok(rows(client, sql, &[&catalog]).await?[0].get("class"))
}

/// The rows of a query that only reads.
pub async fn rows(
    client: &Client,
    sql: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Answer<Vec<Row>> {
    client.query(sql, parameters).await.map_err(|error| words::refused(DOING, &error))
}

fn node(row: &Row) -> Node {
    let kind: String = row.get("kind");
    Node {
        address: (row.get("class"), row.get("id")),
        table: row.get("rel"),
        kind: Kind::of(&kind),
        role: row.get("role"),
        statements: row.get("statements"),
    }
}

async fn needs(
    client: &Client,
    version: &Version,
    scope: &Scope,
    told: &BTreeSet<Address>,
) -> Answer<BTreeMap<Address, BTreeSet<Address>>> {
    let mut stands_for = BTreeMap::new();
    let sql = version.spell(include_str!("sql/aliases.sql"));
    for row in rows(client, &sql, &[&scope.relations, &scope.types]).await? {
        let alias: Address = (row.get("class"), row.get("id"));
        let object: Address = (row.get("of_class"), row.get("of"));
        if !told.contains(&alias) {
            stands_for.insert(alias, object);
        }
    }
    let whole = |address: Address| stands_for.get(&address).copied().unwrap_or(address);
    let asked: BTreeSet<Address> = told.iter().chain(stands_for.keys()).copied().collect();
    let (classes, ids): (Vec<Oid>, Vec<Oid>) = asked.into_iter().unzip();
    let sequences = sequences(client, &scope.relations).await?;
    let mut needs: BTreeMap<Address, BTreeSet<Address>> = BTreeMap::new();
    for row in rows(client, include_str!("sql/needs.sql"), &[&classes, &ids]).await? {
        let from: Address = (row.get("class"), row.get("id"));
        let other = whole((row.get("other_class"), row.get("other")));
        let how: String = row.get("how");
        // A sequence is made before the column that it belongs to; that it does is said later.
        if how == "a" && sequences.contains(&from.1) {
            continue;
        }
        let from = whole(from);
        if from != other && told.contains(&other) {
            needs.entry(from).or_default().insert(other);
        }
    }
    Ok(needs)
}

async fn sequences(client: &Client, relations: &[Oid]) -> Answer<BTreeSet<Oid>> {
    let sql = "SELECT oid FROM pg_class WHERE oid = ANY ($1) AND relkind = 'S'";
    Ok(rows(client, sql, &[&relations]).await?.iter().map(|row| row.get("oid")).collect())
}
