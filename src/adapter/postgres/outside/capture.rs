//! Finding what is bound to live, and everything that reads that.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::Oid;
use tokio_postgres::{Client, Row};

use super::super::definitions::{
    self, Address, Definitions, Kind, Node, Scope, Version, rows, schema_oids,
};
use super::super::sql;
use super::{Outside, Part};
use crate::adapter::sql::identifier;
use crate::ports::Answer;

/// Foreign keys of tables up to this size are validated inside the swap.
const SMALL: i64 = 4 * 1024 * 1024;

/// How many transactions are looked at for those that are under way: few, because everybody may be
/// waiting. Where there are more it is captured again once they are.
const LOOKED_AT: u32 = 100_000;

/// The catalogs that are read.
const READ: [&str; 8] = [
    "pg_depend",
    "pg_class",
    "pg_rewrite",
    "pg_proc",
    "pg_constraint",
    "pg_trigger",
    "pg_policy",
    "pg_attrdef",
];

/// Something outside that is bound to live or to one of its readers.
struct Bound {
    kind: String,
    address: Address,
    relation: Oid,
    direct: bool,
}

/// Finds what outside is bound to the live schemas. Reads catalogs only. Once live is locked nothing
/// new can be bound to it.
pub async fn capture(client: &Client, lives: &[String]) -> Answer<Outside> {
    let since = rows(client, &sql::moment(LOOKED_AT), &[]).await?[0].get("moment");
    let many = rows(client, "SELECT count(*) AS many FROM pg_depend", &[]).await?;
    let dependencies = many[0].get("many");
    let schemas: Vec<Oid> = schema_oids(client, lives).await?.values().copied().collect();
    let mut outside = Outside { lives: lives.to_vec(), since, dependencies, ..Outside::default() };
    if schemas.is_empty() {
        return Ok(outside);
    }
    let objects = rows(client, include_str!("objects.sql"), &[&schemas]).await?;
    let mut frontier: Vec<Address> =
        objects.iter().map(|row| (row.get("class"), row.get("id"))).collect();
    let class = definitions::class_of(client, "pg_class").await?;
    let mut found: BTreeMap<Address, Bound> = BTreeMap::new();
    let mut direct = true;
    while !frontier.is_empty() {
        let mut next = BTreeSet::new();
        for row in bound(client, &frontier, &schemas).await? {
            let bound = judge(&row, class, direct, &mut outside);
            if let Some(bound) = bound
                && !found.contains_key(&bound.address)
            {
                if bound.kind == "filled" {
                    let (what, other): (String, String) = (row.get("what"), row.get("other"));
                    outside.filled.push(format!("{what} is bound to {other}"));
                }
                if is_reader(&bound.kind) {
                    next.insert(bound.address);
                }
                found.insert(bound.address, bound);
            }
        }
        frontier = with_types(client, next, class).await?;
        direct = false;
    }
    describe(client, class, &found, &mut outside).await?;
    Ok(outside)
}

/// Whether nothing was defined, changed or dropped anywhere since that was captured. A `false` may
/// be wrong, where others make temporary tables: capture again.
pub async fn still(client: &Client, outside: &Outside) -> Answer<bool> {
    let found = rows(client, &sql::defined_since(&READ), &[&outside.since]).await?;
    let many: i64 = found[0].get("many");
    Ok(many == outside.dependencies && !found[0].get::<_, bool>("newer"))
}

fn is_reader(kind: &str) -> bool {
    matches!(kind, "view" | "materialized" | "filled" | "routine")
}

async fn bound(client: &Client, of: &[Address], schemas: &[Oid]) -> Answer<Vec<Row>> {
    let (classes, ids): (Vec<Oid>, Vec<Oid>) = of.iter().copied().unzip();
    let publishes = if Version::of(client).await?.is(15) {
        ", 'pg_publication_namespace'::regclass"
    } else {
        ""
    };
    let sql = include_str!("bound.sql").replace("/*or publishes a schema*/", publishes);
    rows(client, &sql, &[&classes, &ids, &schemas]).await
}

/// What a row says is bound; what cannot be made anew becomes a refusal.
fn judge(row: &Row, class: Oid, direct: bool, outside: &mut Outside) -> Option<Bound> {
    let kind: String = row.get("kind");
    let (what, other): (String, String) = (row.get("what"), row.get("other"));
    let relation: Oid = row.get("relation");
    match kind.as_str() {
        "filled" if direct => outside.refusals.push(format!(
            "{what} outside reads {other}: it would have to be filled again while everybody waits; \
             make it a view, or let dbt build it"
        )),
        // Bound to a reader that is replaced in place, it stays as it is.
        "other" if !direct => {}
        "other" => outside.refusals.push(format!(
            "{what} outside is bound to {other}, and PostgreSQL cannot bind it anew"
        )),
        _ => {
            if direct && !row.get::<_, bool>("ours") {
                let owner: String = row.get("owner");
                outside.refusals.push(format!(
                    "{what} outside is bound to {other} and belongs to {owner}: only a member of \
                     {owner} can make it anew"
                ));
            }
            // A function whose signature names one of live's types becomes another function, and a
            // materialized view cannot be replaced.
            outside.rebuild |= direct
                && (kind == "materialized" || kind == "routine" && row.get::<_, bool>("by_type"));
            let view = matches!(kind.as_str(), "view" | "materialized" | "filled");
            let address = if view { (class, relation) } else { (row.get("class"), row.get("id")) };
            return Some(Bound { kind, address, relation, direct });
        }
    }
    None
}

/// The objects and the types of their rows.
async fn with_types(client: &Client, of: BTreeSet<Address>, class: Oid) -> Answer<Vec<Address>> {
    let relations: Vec<Oid> =
        of.iter().filter(|(one, _)| *one == class).map(|(_, id)| *id).collect();
    let mut all: Vec<Address> = of.into_iter().collect();
    if !relations.is_empty() {
        let sql = "SELECT 'pg_type'::regclass::oid AS class, x AS id FROM pg_type t, \
                   unnest(ARRAY[t.oid, t.typarray]) x WHERE t.typrelid = ANY ($1)";
        let types = rows(client, sql, &[&relations]).await?;
        all.extend(types.iter().map(|row| -> Address { (row.get("class"), row.get("id")) }));
    }
    Ok(all)
}

/// Reads the definitions of what was found.
async fn describe(
    client: &Client,
    class: Oid,
    found: &BTreeMap<Address, Bound>,
    outside: &mut Outside,
) -> Answer<()> {
    let readers: BTreeSet<Address> =
        found.values().filter(|one| is_reader(&one.kind)).map(|one| one.address).collect();
    let relations: BTreeSet<Oid> =
        found.values().map(|one| one.relation).filter(|relation| *relation != 0).collect();
    let scope = Scope {
        relations: relations.iter().copied().collect(),
        routines: readers.iter().filter(|one| one.0 != class).map(|one| one.1).collect(),
        ..Scope::default()
    };
    if found.is_empty() {
        return Ok(());
    }
    let all = definitions::read(client, &scope).await?;
    let sizes = tables(client, &scope.relations).await?;
    for one in found.values().filter(|one| !readers.contains(&one.address)) {
        let nodes: Vec<&Node> =
            all.nodes.iter().filter(|node| node.address == one.address).collect();
        // A partition's share of its parent's foreign key or trigger goes along with it.
        if nodes.iter().any(|node| node.kind != Kind::Comment)
            && let Some((name, size)) = sizes.get(&one.relation)
        {
            let names = name_of(client, one).await?;
            outside.parts.push(part(one, &nodes, name, *size, &names));
        }
    }
    let on_reader =
        |node: &Node| readers.contains(&node.address) || readers.contains(&(class, node.table));
    outside.direct = found.values().filter(|one| one.direct).map(|one| one.address).collect();
    outside.direct.retain(|address| readers.contains(address));
    outside.readers = Definitions {
        nodes: all.nodes.iter().filter(|node| on_reader(node)).cloned().collect(),
        needs: all.needs,
    };
    Ok(())
}

/// Names of relations, whole, and what they take on disk if a foreign key can be added to them
/// without looking at their rows.
async fn tables(
    client: &Client,
    relations: &[Oid],
) -> Answer<BTreeMap<Oid, (String, Option<i64>)>> {
    let sql = "SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, \
               CASE c.relkind WHEN 'r' THEN pg_relation_size(c.oid) END AS size \
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1)";
    let found = rows(client, sql, &[&relations]).await?;
    Ok(found.iter().map(|row| (row.get("oid"), (row.get("name"), row.get("size")))).collect())
}

/// The name of a part within its relation.
async fn name_of(client: &Client, one: &Bound) -> Answer<String> {
    let sql = match one.kind.as_str() {
        "foreign" => "SELECT conname::text AS name FROM pg_constraint WHERE oid = $1",
        "policy" => "SELECT polname::text AS name FROM pg_policy WHERE oid = $1",
        "trigger" => "SELECT tgname::text AS name FROM pg_trigger WHERE oid = $1",
        "rule" => "SELECT rulename::text AS name FROM pg_rewrite WHERE oid = $1",
        _ => {
            "SELECT a.attname::text AS name FROM pg_attrdef d JOIN pg_attribute a \
             ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.oid = $1"
        }
    };
    let found = rows(client, sql, &[&one.address.1]).await?;
    Ok(found.first().map_or_else(String::new, |row| row.get("name")))
}

fn part(one: &Bound, nodes: &[&Node], table: &str, size: Option<i64>, name: &str) -> Part {
    let quoted = identifier(name);
    let mut make: Vec<String> =
        nodes.iter().flat_map(|node| node.statements.iter().cloned()).collect();
    let mut validate = None;
    let drop = match one.kind.as_str() {
        "foreign" => {
            let large = size.is_some_and(|size| size > SMALL);
            if let Some(add) = make.first_mut()
                && large
                && !add.ends_with(" NOT VALID")
            {
                add.push_str(" NOT VALID");
                validate = Some(format!("ALTER TABLE {table} VALIDATE CONSTRAINT {quoted}"));
            }
            format!("ALTER TABLE {table} DROP CONSTRAINT {quoted}")
        }
        "policy" => format!("DROP POLICY {quoted} ON {table}"),
        "trigger" => format!("DROP TRIGGER {quoted} ON {table}"),
        "rule" => format!("DROP RULE {quoted} ON {table}"),
        _ => format!("ALTER TABLE ONLY {table} ALTER COLUMN {quoted} DROP DEFAULT"),
    };
    Part { direct: one.direct, relation: one.relation, drop, make, validate }
}
