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

/// Which of these containers were dropped and are kept for the days of their retention. What has the
/// name now stands in its own way (`/user-guide/data-time-travel`: UNDROP brings back the last one
/// that was dropped, and fails if there is one of that name).
pub(super) async fn dropped(
    warehouse: &Snowflake,
    slots: &[SlotName],
) -> Answer<BTreeMap<SlotName, Dropped>> {
    let tag = warehouse.tag();
    let mut found = BTreeMap::new();
    for slot in slots {
        let container = named(slot)?;
        let name = unit::own_name(&container);
        let beginning = literal(name);
        let show = match &container {
            Container::Database(_) => format!("SHOW DATABASES HISTORY STARTS WITH {beginning}"),
            Container::Schema(path) => format!(
                "SHOW SCHEMAS HISTORY IN DATABASE {} STARTS WITH {beginning}",
                path.database.quoted()
            ),
        };
        let rows = warehouse.sessions.read(&tag, &show).await?;
        let last = rows
            .rows
            .iter()
            .filter(|row| cell(&rows, row, "NAME") == Some(name))
            .filter_map(|row| {
                let at = time(cell(&rows, row, "DROPPED_ON")?)?;
                let identity = Identity(cell(&rows, row, "CREATED_ON")?.to_owned());
                let days = cell(&rows, row, "RETENTION_TIME").and_then(|days| days.parse().ok());
                Some(Dropped { identity, at, until: at + TimeDelta::days(days.unwrap_or(1)) })
            });
        if let Some(last) = last.max_by_key(|one| one.at) {
            found.insert(slot.clone(), last);
        }
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
