//! What `doctor` finds out about an account without touching anything, and the probe.
//!
//! May import `domain`, `ports` and its siblings.

use std::collections::BTreeMap;

use super::carry;
use super::choice;
use super::look::cell;
use super::perform::named;
use super::probe::{self, ProbeNames, Verdict};
use super::session::{Tag, literal};
use super::unit::Unit;
use super::warehouse::Snowflake;
use crate::domain::project::Manifest;
use crate::failure::{Failure, Outcome};
use crate::ports::{Event, HaltReceiver, Observer, Probed, halted};

/// Everything that is worth knowing before a deploy.
pub(super) async fn examine(
    warehouse: &Snowflake,
    production: Option<&Manifest>,
) -> Vec<(String, Outcome<String>)> {
    let tag = warehouse.tag();
    let mut found = vec![("session".to_owned(), session(warehouse, &tag).await)];
    found.push(("isolation".to_owned(), isolation(warehouse, &tag, production).await));
    found.push(("privileges".to_owned(), privileges(warehouse, &tag).await));
    for slot in warehouse.live_slots() {
        let reach = super::past::reach(warehouse, &slot).await;
        let reach = reach.map_err(Failure::from).map(|reach| {
            let since = reach.since.format("%Y-%m-%d %H:%M UTC");
            format!("{slot} can be read back to {since}: {}", reach.limited_by)
        });
        found.push(("time travel".to_owned(), reach));
        found.push(("objects".to_owned(), objects(warehouse, &tag, &slot).await));
    }
    found.push(("cost".to_owned(), cost(warehouse, &tag).await));
    found
}

async fn session(warehouse: &Snowflake, tag: &Tag) -> Outcome<String> {
    let sql = "SELECT CURRENT_USER() AS U, CURRENT_ROLE() AS R, CURRENT_WAREHOUSE() AS W, \
               CURRENT_REGION() AS G, CURRENT_VERSION() AS V";
    let rows = warehouse.sessions.read(tag, sql).await?;
    let row = rows.rows.first().cloned().unwrap_or_default();
    let text = |name: &str| cell(&rows, &row, name).unwrap_or("(none)").to_owned();
    Ok(format!(
        "user {}, role {}, warehouse {}, region {}, Snowflake {}",
        text("U"),
        text("R"),
        text("W"),
        text("G"),
        text("V")
    ))
}

async fn isolation(
    warehouse: &Snowflake,
    tag: &Tag,
    production: Option<&Manifest>,
) -> Outcome<String> {
    if let Some(unit) = warehouse.unit.get() {
        let word = unit.word().to_lowercase();
        return Ok(match warehouse.why.borrow().as_deref() {
            Some(why) => format!("{word}: {why}"),
            None => format!("{word}, as configured or since the first release"),
        });
    }
    let Some(production) = production else {
        return Err(Failure::usage(
            "what is swapped depends on the project, which dbt cannot read",
        ));
    };
    let (unit, why) = choice::choose(warehouse, tag, production).await?;
    Ok(format!("{}: {why}", unit.word().to_lowercase()))
}

/// What the role itself was granted; what it inherits from others is not looked up.
async fn privileges(warehouse: &Snowflake, tag: &Tag) -> Outcome<String> {
    let role = warehouse.sessions.read(tag, "SELECT CURRENT_ROLE() AS R").await?;
    let role = role.rows.first().and_then(|row| row.first()).cloned().flatten();
    let role = role.ok_or_else(|| {
        Failure::usage("the session has no role").next("set `role` in profiles.yml")
    })?;
    let mut needs: BTreeMap<&str, &str> = BTreeMap::new();
    match warehouse.unit() {
        Unit::Database => needs.insert("CREATE DATABASE", "the build is a database of its own"),
        Unit::Schema => needs.insert("CREATE SCHEMA", "the build is a schema of its own"),
    };
    needs.insert("MANAGE GRANTS", "to see and carry future and inherited grants");
    let show = format!(
        "SHOW GRANTS TO ROLE {}",
        super::ident::Ident::verbatim(&role).map_or_else(|_| literal(&role), |name| name.quoted(),)
    );
    let rows = warehouse.sessions.read(tag, &show).await?;
    let held: Vec<&str> =
        rows.rows.iter().filter_map(|row| cell(&rows, row, "privilege")).collect();
    let lacks: Vec<String> = needs
        .iter()
        .filter(|(privilege, _)| role != "ACCOUNTADMIN" && !held.contains(*privilege))
        .map(|(privilege, why)| format!("{privilege} ({why})"))
        .collect();
    Ok(if lacks.is_empty() {
        format!("role {role} has what a deploy needs")
    } else {
        format!(
            "role {role} was not granted {} itself; another role that it inherits from may have",
            lacks.join(", ")
        )
    })
}

async fn objects(
    warehouse: &Snowflake,
    tag: &Tag,
    slot: &crate::domain::name::SlotName,
) -> Outcome<String> {
    let container = named(slot)?;
    let policy = &warehouse.settings.policy;
    let (refused, notes) = carry::at_risk(&warehouse.sessions, tag, &container, policy).await?;
    if !refused.is_empty() {
        return Err(Failure::usage(format!(
            "a clone of {slot} would lose something: {}",
            refused.join("; ")
        ))
        .next("allow the kind by name under `allow: {objects: […]}` in switchback.yml"));
    }
    Ok(if notes.is_empty() {
        format!("a clone of {slot} holds everything")
    } else {
        notes.join("; ")
    })
}

async fn cost(warehouse: &Snowflake, tag: &Tag) -> Outcome<String> {
    let (_, seen) = warehouse.look(tag).await?;
    let live = warehouse.live_slots();
    let kept = seen.keys().filter(|slot| {
        live.iter()
            .any(|live| slot.as_str() != live.as_str() && is_of(live.as_str(), slot.as_str()))
    });
    let kept = kept.count();
    Ok(format!(
        "{kept} builds and archives are kept beside live; a clone costs storage only for what has \
         changed since, and compute for what dbt rebuilds"
    ))
}

/// Whether a container's name is a live one's with a suffix of ours; for a count only.
fn is_of(live: &str, other: &str) -> bool {
    let live = live.trim_end_matches('"');
    other.starts_with(&format!("{live}__"))
}

/// Tries on the account what the adapter assumes.
pub(super) async fn probe(
    warehouse: &Snowflake,
    observer: &dyn Observer,
    mut halt: HaltReceiver,
) -> Outcome<Probed> {
    let tag = warehouse.tag();
    let sql = "SELECT CURRENT_ACCOUNT() AS A, CURRENT_USER() AS U";
    let rows = warehouse.sessions.read(&tag, sql).await?;
    let row = rows.rows.first().cloned().unwrap_or_default();
    let text = |name: &str| cell(&rows, &row, name).unwrap_or_default().to_owned();
    let names = ProbeNames::random(Some(warehouse.target.base.database.clone()))?
        .withholding(&text("A"), "account")
        .withholding(&text("U"), "user");
    let stop = async move {
        halted(&mut halt).await;
    };
    let progress = |text: &str| observer.event(Event::Note(text.to_owned()));
    let report = probe::run_until(&warehouse.sessions, names, &progress, stop).await;
    Ok(Probed { text: report.text(), json: report.json(), differ: report.count(Verdict::Differs) })
}
