//! Time Travel: the server's clock, and how far back a container can be read.
//!
//! A clone of a container as it was fails as a whole where one table's past is too short
//! (`/user-guide/object-clone`), so the shortest counts; a table that is transient keeps a day at
//! most (`/user-guide/tables-temp-transient`). A container cannot be read before it was created.
//!
//! May import `domain`, `ports` and its siblings.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::contents;
use super::grants::Container;
use super::look::cell;
use super::perform::named;
use super::session::literal;
use super::unit;
use super::warehouse::Snowflake;
use crate::domain::name::{Identity, SlotName};
use crate::failure::Failure;
use crate::ports::{Answer, Dropped, Moment, Reach};

/// The server's time, and the id of a query right before it.
pub(super) async fn moment(warehouse: &Snowflake) -> Answer<Moment> {
    let tag = warehouse.tag();
    let sql = "SELECT CURRENT_TIMESTAMP() AS AT, LAST_QUERY_ID() AS QUERY";
    let rows = warehouse.sessions.read_in(&tag, "SELECT 1", sql, 1).await?;
    let row = rows.rows.first().cloned().unwrap_or_default();
    let at = cell(&rows, &row, "AT").and_then(time);
    let at = at.ok_or_else(|| Failure::stopped("Snowflake did not tell the time"))?;
    Ok(Moment { at, query: cell(&rows, &row, "QUERY").map(str::to_owned) })
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

/// Which of these containers were dropped and are not purged yet (`/sql-reference/sql/show-databases`,
/// HISTORY), each as it was dropped last: that is the one that UNDROP brings back, unless there is one
/// of its name (`/user-guide/data-time-travel`).
pub(super) async fn dropped(
    warehouse: &Snowflake,
    slots: &[SlotName],
) -> Answer<BTreeMap<SlotName, Dropped>> {
    let all: Vec<Container> = slots.iter().map(named).collect::<Answer<_>>()?;
    let show = |one: &Container| {
        let beginning = literal(unit::own_name(one));
        match one {
            Container::Database(_) => format!("SHOW DATABASES HISTORY STARTS WITH {beginning}"),
            Container::Schema(path) => {
                let database = path.database.quoted();
                format!("SHOW SCHEMAS HISTORY IN DATABASE {database} STARTS WITH {beginning}")
            }
        }
    };
    let questions = all.iter().map(show).collect();
    let answers = warehouse.sessions.read_all(&warehouse.tag(), questions).await?;
    let mut found = BTreeMap::new();
    for ((slot, one), rows) in slots.iter().zip(&all).zip(&answers) {
        let dropped = |row: &Vec<Option<String>>| {
            let is_it = cell(rows, row, "NAME") == Some(unit::own_name(one));
            let at = time(cell(rows, row, "DROPPED_ON").filter(|_| is_it)?)?;
            Some(Dropped { identity: Identity(cell(rows, row, "CREATED_ON")?.to_owned()), at })
        };
        let last = rows.rows.iter().filter_map(dropped).max_by_key(|one| one.at);
        found.extend(last.map(|last| (slot.clone(), last)));
    }
    Ok(found)
}

/// How far back a container can be read.
pub(super) async fn reach(warehouse: &Snowflake, slot: &SlotName) -> Answer<Reach> {
    let tag = warehouse.tag();
    let now = moment(warehouse).await?.at;
    let (_, seen) = warehouse.look(&tag).await?;
    let one = seen.get(slot).ok_or_else(|| Failure::stopped(format!("there is no {slot}")))?;
    let days = |days: u32| now - TimeDelta::days(i64::from(days));
    let mut reach = Reach {
        since: days(one.retention.unwrap_or(1)),
        limited_by: format!("it keeps {} of its past", span(one.retention.unwrap_or(1))),
    };
    let tables = warehouse.sessions.read(&tag, &contents::retentions_of(&named(slot)?)).await?;
    for row in &tables.rows {
        let kept = cell(&tables, row, "RETENTION_TIME").and_then(|text| text.parse().ok());
        let name = |column: &str| cell(&tables, row, column).unwrap_or_default();
        if let Some(kept) = kept
            && days(kept) > reach.since
        {
            let table = format!("{}.{}", name("TABLE_SCHEMA"), name("TABLE_NAME"));
            reach = Reach {
                since: days(kept),
                limited_by: format!("its table {table} keeps {} of its past", span(kept)),
            };
        }
    }
    if let Some(created) = time(one.identity.as_str())
        && created > reach.since
    {
        reach = Reach { since: created, limited_by: "it was created then".to_owned() };
    }
    Ok(reach)
}

fn span(days: u32) -> String {
    match days {
        0 => "nothing".to_owned(),
        1 => "one day".to_owned(),
        days => format!("{days} days"),
    }
}
