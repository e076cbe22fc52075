//! Looking at containers: which there are, what each is, and which stamp it carries.
//!
//! Invariant: a name is a claim, and what a container is comes from SHOW (`created_on`, options,
//! comment) and from its stamp. Few statements: one SHOW for all containers, one for all stamps'
//! tables, one query over the stamps; all at once where the stamps are where they were the last time,
//! which the second SHOW tells.
//!
//! May import `domain`, `ports` and its siblings.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::grants::Container;
use super::ident::{Database, Ident, Schema, SchemaPath};
use super::render::Traits;
use super::session::{Sessions, Tag, literal};
use super::stamp;
use super::unit::{self, Unit};
use crate::domain::name::{Identity, SlotName};
use crate::domain::slot::{Content, Observation, Stamp};
use crate::failure::Failure;
use crate::ports::{Answer, PortError, Rows};

/// SHOW without LIMIT refuses to print more rows than this, and a page has at most as many.
const PAGE: usize = 10_000;

/// A container as SHOW prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which it is.
    pub container: Container,
    /// When it was created: its identity.
    pub identity: Identity,
    /// What it is like.
    pub traits: Traits,
    /// Its comment.
    pub comment: String,
    /// Its owner.
    pub owner: String,
    /// Days of the past that it keeps.
    pub retention: Option<u32>,
}

/// A column of a row by its name.
#[must_use]
pub fn cell<'a>(rows: &'a Rows, row: &'a [Option<String>], name: &str) -> Option<&'a str> {
    let at = rows.columns.iter().position(|column| column.eq_ignore_ascii_case(name))?;
    row.get(at)?.as_deref()
}

/// Every page of a SHOW; `order` is the name column by which it goes on.
pub async fn paged(sessions: &Sessions, tag: &Tag, show: &str) -> Answer<Rows> {
    let mut all = sessions.read(tag, &format!("{show} LIMIT {PAGE}")).await?;
    let mut got = all.rows.len();
    while got == PAGE {
        let last = all.rows.last().and_then(|row| cell(&all, row, "name").map(str::to_owned));
        let Some(last) = last else { break };
        let next = format!("{show} LIMIT {PAGE} FROM {}", literal(&last));
        let page = sessions.read(tag, &next).await?;
        got = page.rows.len();
        all.rows.extend(page.rows);
    }
    Ok(all)
}

fn seen(rows: &Rows, database: Option<&Database>) -> Vec<Seen> {
    let one = |row: &Vec<Option<String>>| {
        let text = |name: &str| cell(rows, row, name);
        let name = Ident::verbatim(text("name")?).ok()?;
        let options = text("options").unwrap_or_default().to_uppercase();
        let container = match database {
            None => Container::Database(Database(name)),
            Some(database) => {
                Container::Schema(SchemaPath { database: database.clone(), schema: Schema(name) })
            }
        };
        Some(Seen {
            container,
            identity: Identity(text("created_on")?.to_owned()),
            traits: Traits {
                transient: options.contains("TRANSIENT"),
                managed: options.contains("MANAGED ACCESS"),
            },
            comment: text("comment").unwrap_or_default().to_owned(),
            owner: text("owner").unwrap_or_default().to_owned(),
            retention: text("retention_time").and_then(|days| days.parse().ok()),
        })
    };
    rows.rows.iter().filter_map(one).collect()
}

/// The databases whose names begin like `database`'s.
pub async fn databases(sessions: &Sessions, tag: &Tag, database: &Database) -> Answer<Vec<Seen>> {
    let beginning: String = database.as_str().chars().take(200).collect();
    let show = format!("SHOW DATABASES STARTS WITH {}", literal(&beginning));
    let mut found = seen(&paged(sessions, tag, &show).await?, None);
    let family = format!("{}__", database.as_str());
    found.retain(|one| {
        let name = unit::own_name(&one.container);
        // An over-long name is cut for its builds and archives.
        name == database.as_str() || name.starts_with(&family) || beginning.len() >= 200
    });
    Ok(found)
}

/// The schemas of a database; none where the database does not exist.
pub async fn schemas(sessions: &Sessions, tag: &Tag, database: &Database) -> Answer<Vec<Seen>> {
    let show = format!("SHOW SCHEMAS IN DATABASE {}", database.quoted());
    match paged(sessions, tag, &show).await {
        Ok(rows) => Ok(seen(&rows, Some(database))),
        Err(PortError::Refused(failure)) if is_missing(&failure) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether a refusal says that something does not exist.
#[must_use]
pub fn is_missing(failure: &Failure) -> bool {
    failure.message.contains("Snowflake 002003") || failure.message.contains("Snowflake 002043")
}

/// The names of the containers that have a stamp's table.
async fn stamped(
    sessions: &Sessions,
    tag: &Tag,
    unit: Unit,
    database: &Database,
) -> Answer<Vec<String>> {
    let (show, column) = match unit {
        Unit::Database => {
            (format!("SHOW SCHEMAS LIKE '{}' IN ACCOUNT", stamp::OWN_SCHEMA), "database_name")
        }
        Unit::Schema => {
            let like = stamp::IN_SCHEMA.replace('_', "\\\\_");
            let database = database.quoted();
            (format!("SHOW TABLES LIKE '{like}' IN DATABASE {database}"), "schema_name")
        }
    };
    let rows = match paged(sessions, tag, &show).await {
        Err(PortError::Refused(failure)) if is_missing(&failure) => Rows::default(),
        rows => rows?,
    };
    let name = |row: &Vec<Option<String>>| cell(&rows, row, column).map(str::to_owned);
    Ok(rows.rows.iter().filter_map(name).collect())
}

/// The stamps of an environment in those containers, with their place in the list; refused where one
/// is not there.
async fn stamps_at_once(
    sessions: &Sessions,
    tag: &Tag,
    environment: &str,
    containers: &[Container],
) -> Answer<Vec<(usize, Stamp)>> {
    let reads: Vec<String> =
        containers.iter().enumerate().map(|(at, one)| stamp::read(one, at)).collect();
    if reads.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sessions.read(tag, &reads.join(" UNION ALL ")).await?;
    Ok(stamp::parse(&rows, environment))
}

/// The stamps of an environment in those containers, with their place in the list.
async fn stamps(
    sessions: &Sessions,
    tag: &Tag,
    environment: &str,
    containers: &[Container],
) -> Answer<Vec<(usize, Stamp)>> {
    let mut found = Vec::new();
    match stamps_at_once(sessions, tag, environment, containers).await {
        Ok(stamps) => return Ok(stamps),
        // One of them is half made, or not ours: each on its own.
        Err(PortError::Refused(_)) => {
            let reads = containers.iter().enumerate().map(|(at, one)| stamp::read(one, at));
            for read in reads.collect::<Vec<_>>() {
                match sessions.read(tag, &read).await {
                    Ok(rows) => found.extend(stamp::parse(&rows, environment)),
                    Err(PortError::Refused(failure)) if is_no_stamp(&failure) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Which environment each stamped container belongs to.
pub async fn owners(
    sessions: &Sessions,
    tag: &Tag,
    containers: &[Container],
) -> Answer<Vec<(SlotName, String)>> {
    let mut found = Vec::new();
    for one in containers {
        match sessions.read(tag, &stamp::read(one, 0)).await {
            Ok(rows) => {
                let owner = rows.rows.first().and_then(|row| row.get(1)).cloned().flatten();
                found.extend(owner.map(|owner| (unit::slot(one), owner)));
            }
            Err(PortError::Refused(failure)) if is_no_stamp(&failure) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether what was read is no stamp of ours: it is not there, or it has other columns.
fn is_no_stamp(failure: &Failure) -> bool {
    is_missing(failure) || failure.message.contains("Snowflake 000904")
}

/// What the environment's slots hold, and what is known of every container that was seen. `guess`
/// are the containers that most likely have stamps; it becomes those that have them.
pub async fn observe(
    sessions: &Sessions,
    tag: &Tag,
    unit: Unit,
    database: &Database,
    environment: &str,
    guess: &RefCell<BTreeSet<SlotName>>,
) -> Answer<(Observation, BTreeMap<SlotName, Seen>)> {
    let guessed: BTreeSet<SlotName> = guess.borrow().clone();
    let guessed_at: Vec<Container> =
        guessed.iter().filter_map(|slot| unit::container(slot).ok()).collect();
    let found = async {
        match unit {
            Unit::Database => databases(sessions, tag, database).await,
            Unit::Schema => schemas(sessions, tag, database).await,
        }
    };
    let (found, names, ahead) = tokio::join!(
        found,
        stamped(sessions, tag, unit, database),
        stamps_at_once(sessions, tag, environment, &guessed_at)
    );
    let (found, names) = (found?, names?);
    let all = found.iter().map(|one| &one.container);
    let has = |one: &&Container| names.iter().any(|name| name == unit::own_name(one));
    let stamped: Vec<Container> = all.filter(has).cloned().collect();
    let slots: BTreeSet<SlotName> = stamped.iter().map(unit::slot).collect();
    let (at, stamps) = match ahead {
        Ok(stamps) if slots == guessed => (&guessed_at, stamps),
        _ => (&stamped, stamps(sessions, tag, environment, &stamped).await?),
    };
    let of = |(place, stamp): (usize, Stamp)| (unit::slot(&at[place]), stamp);
    let mut stamps: BTreeMap<SlotName, Stamp> = stamps.into_iter().map(of).collect();
    guess.replace(slots);
    let mut observation = Observation::default();
    let mut all = BTreeMap::new();
    for one in found {
        let slot = unit::slot(&one.container);
        let content = Content::Present {
            identity: one.identity.clone(),
            stamp: stamps.remove(&slot),
            created_by_us: stamp::is_marked(&one.comment, environment),
        };
        observation.slots.insert(slot.clone(), content);
        all.insert(slot, one);
    }
    Ok((observation, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_show_prints_of_a_container_is_read_by_column_name() {
        let columns = ["created_on", "name", "owner", "comment", "options", "retention_time"];
        let row = ["2026-11-24T01:00:00Z", "odd name", "DEPLOY", "ours", "TRANSIENT", "1"];
        let rows = Rows {
            columns: columns.map(str::to_owned).to_vec(),
            rows: vec![row.map(|cell| Some(cell.to_owned())).to_vec()],
        };
        let database = Database(Ident::verbatim("SHOP").unwrap());
        let one = &seen(&rows, Some(&database))[0];
        assert_eq!(unit::slot(&one.container).as_str(), "SHOP.\"odd name\"");
        assert_eq!(one.traits, Traits { transient: true, managed: false });
        assert_eq!(one.retention, Some(1));
    }
}
