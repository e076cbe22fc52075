//! Looking at containers: which there are, what each is, and which stamp it carries.
//!
//! Invariant: a name is a claim, and what a container is comes from SHOW (`created_on`, options,
//! comment) and from its stamp. Few statements: one SHOW for all containers, one for all stamps'
//! tables, one query over the stamps.
//!
//! May import `domain`, `ports` and its siblings.

use std::collections::BTreeMap;

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

/// The containers that have a stamp's table.
async fn with_stamps(
    sessions: &Sessions,
    tag: &Tag,
    unit: Unit,
    found: &[Seen],
) -> Answer<Vec<Container>> {
    let Some(first) = found.first() else { return Ok(Vec::new()) };
    let show = match unit {
        Unit::Database => format!("SHOW SCHEMAS LIKE '{}' IN ACCOUNT", stamp::OWN_SCHEMA),
        Unit::Schema => {
            let like = stamp::IN_SCHEMA.replace('_', "\\\\_");
            let database = first.container.database().quoted();
            format!("SHOW TABLES LIKE '{like}' IN DATABASE {database}")
        }
    };
    let rows = paged(sessions, tag, &show).await?;
    let column = match unit {
        Unit::Database => "database_name",
        Unit::Schema => "schema_name",
    };
    let names: Vec<&str> = rows.rows.iter().filter_map(|row| cell(&rows, row, column)).collect();
    let all = found.iter().map(|one| &one.container);
    Ok(all.filter(|one| names.contains(&unit::own_name(one))).cloned().collect())
}

/// The stamps of an environment in those containers.
pub async fn stamps(
    sessions: &Sessions,
    tag: &Tag,
    environment: &str,
    containers: &[Container],
) -> Answer<BTreeMap<SlotName, Stamp>> {
    let reads: Vec<String> =
        containers.iter().enumerate().map(|(at, one)| stamp::read(one, at)).collect();
    if reads.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut found = Vec::new();
    match sessions.read(tag, &reads.join(" UNION ALL ")).await {
        Ok(rows) => found.extend(stamp::parse(&rows, environment)),
        // One of them is half made, or not ours: each on its own.
        Err(PortError::Refused(_)) => {
            for read in &reads {
                match sessions.read(tag, read).await {
                    Ok(rows) => found.extend(stamp::parse(&rows, environment)),
                    Err(PortError::Refused(failure)) if is_no_stamp(&failure) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Err(error) => return Err(error),
    }
    Ok(found.into_iter().map(|(at, stamp)| (unit::slot(&containers[at]), stamp)).collect())
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

/// What the environment's slots hold, and what is known of every container that was seen.
pub async fn observe(
    sessions: &Sessions,
    tag: &Tag,
    unit: Unit,
    database: &Database,
    environment: &str,
) -> Answer<(Observation, BTreeMap<SlotName, Seen>)> {
    let found = match unit {
        Unit::Database => databases(sessions, tag, database).await?,
        Unit::Schema => schemas(sessions, tag, database).await?,
    };
    let stamped = with_stamps(sessions, tag, unit, &found).await?;
    let mut stamps = stamps(sessions, tag, environment, &stamped).await?;
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
