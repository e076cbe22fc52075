//! What is swapped, and where its ledger is: chosen at the first deploy, pinned from then on by the
//! ledger that the release was written to; and what must be true before anything is tried.
//!
//! May import `domain`, `ports` and its siblings.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::ident::{Database, Ident, Schema, SchemaPath};
use super::ledger::{Home, SnowflakeLedger};
use super::look::{self, cell};
use super::pinned::PinnedLedger;
use super::place::Target;
use super::profile;
use super::session::{Limits, Sessions, Tag};
use super::stamp;
use super::unit::{self, Unit};
use super::warehouse::{Settings, Snowflake, no_database};
use crate::config::file::Isolation;
use crate::domain::name::SlotName;
use crate::domain::project::Manifest;
use crate::failure::{Failure, Outcome};
use crate::ports::Answer;

/// The database of the ledger where databases are swapped.
pub const LEDGER_DATABASE: &str = "SWITCHBACK";
/// Its schema there.
pub const LEDGER_SCHEMA: &str = "LEDGER";

/// Where the ledger is: outside everything that is swapped.
#[must_use]
pub fn home(unit: Unit, database: &Database) -> SchemaPath {
    let name = |text: &str| Ident::verbatim(text).ok();
    let (database, schema) = match unit {
        Unit::Database => (name(LEDGER_DATABASE).map(Database), name(LEDGER_SCHEMA)),
        Unit::Schema => (Some(database.clone()), name(stamp::OWN_SCHEMA)),
    };
    match (database, schema.map(Schema)) {
        (Some(database), Some(schema)) => SchemaPath { database, schema },
        _ => unreachable!("our own names are names"),
    }
}

/// The profile's target as names. `quotes` says what the project's `quoting` has.
pub fn target(
    settings: &profile::Settings,
    quotes: &dyn Fn(&str) -> Option<bool>,
) -> Outcome<Target> {
    let one = |key: &str, text: &str| {
        Ident::from_dbt(text, quotes(key).unwrap_or(false)).map_err(|bad| {
            Failure::usage(format!("`{key}` of the dbt target: {bad}")).next(
                "write the name as dbt writes it into SQL; a name that needs quotes also needs \
                 `quoting` in dbt_project.yml",
            )
        })
    };
    let database = Database(one("database", &settings.database)?);
    let schema = Schema(one("schema", &settings.schema)?);
    Ok(Target { base: SchemaPath { database, schema } })
}

/// What an environment is opened with.
pub struct Opening<'a> {
    /// How to sign in.
    pub connection: profile::Settings,
    /// How much, and how long.
    pub limits: Limits,
    /// The rest.
    pub settings: Settings,
    /// What the project's `quoting` has.
    pub quotes: &'a dyn Fn(&str) -> Option<bool>,
}

/// Signs in and finds what is pinned. Creates nothing.
pub async fn open(opening: Opening<'_>) -> Outcome<(Snowflake, PinnedLedger)> {
    let Opening { connection, limits, settings, quotes } = opening;
    let target = target(&connection, quotes)?;
    // What one session has written, another may see a moment later; the ledger sees what it wrote.
    let sessions = Sessions::new(connection, limits)?;
    let alone = sessions.apart()?;
    let tag = Tag::new(settings.run.as_str(), "-", "look");
    let found = pinned(&sessions, &tag, &target).await?;
    let configured = match settings.isolation {
        Isolation::Auto => None,
        Isolation::Database => Some(Unit::Database),
        Isolation::Schema => Some(Unit::Schema),
    };
    if let (Some(found), Some(configured)) = (found, configured)
        && found != configured
    {
        return Err(Failure::usage(format!(
            "`isolation` is `{}`, but this environment swaps {}s since its first release",
            configured.word().to_lowercase(),
            found.word().to_lowercase()
        ))
        .next("remove `isolation` from switchback.yml: it is pinned"));
    }
    let unit = Rc::new(Cell::new(found.or(configured)));
    let tag = Tag::new(settings.run.as_str(), "-", "ledger");
    let ledger = PinnedLedger::new(alone, tag, target.clone(), unit.clone());
    Ok((Snowflake::new(sessions, settings, target, unit), ledger))
}

/// What an environment of this target swaps, where there is one.
async fn pinned(sessions: &Sessions, tag: &Tag, target: &Target) -> Outcome<Option<Unit>> {
    for unit in [Unit::Database, Unit::Schema] {
        let home = Home { schema: home(unit, &target.base.database) };
        let name = target.slot(unit);
        let known = SnowflakeLedger::environments(sessions, tag, &home).await?;
        if known.contains(&name.0) {
            return Ok(Some(unit));
        }
    }
    Ok(None)
}

/// Chooses what is swapped, where nothing has pinned it.
pub(super) async fn settle(warehouse: &Snowflake, production: &Manifest) -> Outcome<()> {
    if warehouse.unit.get().is_some() {
        return Ok(());
    }
    let tag = warehouse.tag();
    let (unit, why) = choose(warehouse, &tag, production).await?;
    warehouse.unit.set(Some(unit));
    warehouse.why.replace(Some(why));
    Ok(())
}

/// What `auto` comes to, and why.
pub(super) async fn choose(
    warehouse: &Snowflake,
    tag: &Tag,
    production: &Manifest,
) -> Answer<(Unit, String)> {
    let database = &warehouse.target.base.database;
    let schemas = Home { schema: home(Unit::Schema, database) };
    if !SnowflakeLedger::environments(&warehouse.sessions, tag, &schemas).await?.is_empty() {
        let why = format!("other environments swap schemas of database {database}");
        return Ok((Unit::Schema, why));
    }
    let seen = look::schemas(&warehouse.sessions, tag, database).await?;
    let mut schemas = Vec::new();
    for one in seen {
        let name = unit::own_name(&one.container).to_owned();
        let filled = if name == "PUBLIC" {
            let show = format!("SHOW OBJECTS IN {} LIMIT 1", one.container.sql());
            !warehouse.sessions.read(tag, &show).await?.rows.is_empty()
        } else {
            true
        };
        schemas.push((name, filled));
    }
    Ok(warehouse.target.choose(production, &schemas))
}

/// Refuses slots that carry the stamp of another environment: two that overlap in part would take
/// each other's releases away.
pub(super) async fn refuse_foreign(
    warehouse: &Snowflake,
    slots: &BTreeSet<SlotName>,
) -> Outcome<()> {
    let tag = warehouse.tag();
    let (_, seen) = warehouse.look(&tag).await?;
    let mine = warehouse.environment();
    let containers: Vec<_> =
        slots.iter().filter_map(|slot| seen.get(slot)).map(|one| one.container.clone()).collect();
    let owners = look::owners(&warehouse.sessions, &tag, &containers).await?;
    match owners.into_iter().find(|(_, owner)| *owner != mine) {
        Some((slot, owner)) => Err(Failure::usage(format!(
            "{slot}, which this project writes, belongs to another environment: {owner}"
        ))
        .next("deploy both from one project, or let each write schemas of its own")),
        None => Ok(()),
    }
}

/// What must be true before anything is tried, each with its own sentence.
pub(super) async fn preflight(warehouse: &Snowflake) -> Outcome<()> {
    let tag = warehouse.tag();
    let sql = "SELECT CURRENT_ROLE() AS ROLE, CURRENT_WAREHOUSE() AS WAREHOUSE";
    let database = &warehouse.target.base.database;
    let schemas = async {
        match warehouse.unit() {
            Unit::Database => Ok(Vec::new()),
            Unit::Schema => look::schemas(&warehouse.sessions, &tag, database).await,
        }
    };
    let (rows, found, schemas) = tokio::join!(
        warehouse.sessions.read(&tag, sql),
        look::databases(&warehouse.sessions, &tag, database),
        schemas
    );
    let rows = rows?;
    let row = rows.rows.first().cloned().unwrap_or_default();
    let role = cell(&rows, &row, "ROLE").unwrap_or("(none)").to_owned();
    if cell(&rows, &row, "WAREHOUSE").is_none() {
        return Err(Failure::usage(format!(
            "there is no warehouse to run queries in that role {role} can use"
        ))
        .next("set `warehouse` in profiles.yml, or GRANT USAGE ON WAREHOUSE … TO ROLE …"));
    }
    let found = found?;
    let live = found.iter().find(|one| unit::own_name(&one.container) == database.as_str());
    let Some(live) = live else { return Err(no_database(&warehouse.target, &role)) };
    if warehouse.unit() == Unit::Database {
        alone_in(warehouse, &tag, database).await?;
        return owned(warehouse, &tag, &role, std::slice::from_ref(live)).await;
    }
    let slots = warehouse.live_slots();
    let ours: Vec<look::Seen> =
        schemas?.into_iter().filter(|one| slots.contains(&unit::slot(&one.container))).collect();
    owned(warehouse, &tag, &role, &ours).await
}

/// Refuses to swap a database in which others swap schemas: their releases, and their ledger, would
/// go away with it.
async fn alone_in(warehouse: &Snowflake, tag: &Tag, database: &Database) -> Outcome<()> {
    let home = Home { schema: home(Unit::Schema, database) };
    let others = SnowflakeLedger::environments(&warehouse.sessions, tag, &home).await?;
    let Some(other) = others.first() else { return Ok(()) };
    Err(Failure::usage(format!(
        "database {database} cannot be swapped: schemas in it are those of another environment, {other}"
    ))
    .next("set `isolation: schema` in switchback.yml, or deploy to a database of its own"))
}

/// A swap needs OWNERSHIP of both (`/sql-reference/sql/alter-database`).
async fn owned(
    warehouse: &Snowflake,
    tag: &Tag,
    role: &str,
    containers: &[look::Seen],
) -> Outcome<()> {
    let mut owners: Vec<&str> = containers.iter().map(|one| one.owner.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    for owner in owners {
        let sql = format!("SELECT IS_ROLE_IN_SESSION({}) AS HELD", super::session::literal(owner));
        let rows = warehouse.sessions.read(tag, &sql).await?;
        let held = rows.rows.first().and_then(|row| row.first()).cloned().flatten();
        if held.as_deref() == Some("true") {
            continue;
        }
        let one = containers.iter().find(|one| one.owner == owner);
        let what = one.map_or_else(String::new, |one| {
            format!("{} {}", warehouse.unit().word().to_lowercase(), unit::slot(&one.container))
        });
        return Err(Failure::usage(format!(
            "{what} belongs to role {owner}, and a swap needs its ownership, which role {role} does \
             not have"
        ))
        .next(format!(
            "deploy with role {owner}, or: GRANT ROLE {owner} TO ROLE {role}"
        )));
    }
    Ok(())
}
