//! Which content sits where: the schemas there are, and the stamps in them.
//!
//! Invariants: reading creates nothing; what is observed is what one set of schemas held at one
//! moment (a cutover in between is noticed and the look repeated).
//! May import `domain`, `ports` and this adapter's files.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use super::warehouse::Postgres;
use super::{sql, stamp, words};
use crate::domain::name::{Identity, SlotName};
use crate::domain::slot::{Content, Observation, Stamp};
use crate::ports::{Answer, PortError};

/// How often a look is repeated because what was looked at moved.
const LOOKS: usize = 5;

/// A schema of interest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    name: String,
    identity: Identity,
    stamped: bool,
    marked: bool,
}

/// A stamp, and the environment that it names.
type Read = (Option<Stamp>, Option<String>);

impl Postgres {
    /// Observes.
    pub(super) async fn observe_slots(&self) -> Answer<Observation> {
        let mut looks = 0;
        loop {
            looks += 1;
            let before = self.schemas().await?;
            let stamps = match self.stamps(&before).await {
                Ok(stamps) => stamps,
                // One that was there a moment ago may have been renamed or dropped.
                Err(_) if looks < LOOKS && self.schemas().await? != before => continue,
                Err(error) => return Err(error),
            };
            if looks == LOOKS || self.schemas().await? == before {
                return Ok(self.observation(&before, &stamps));
            }
        }
    }

    fn observation(
        &self,
        found: &[Found],
        stamps: &BTreeMap<String, Result<Read, String>>,
    ) -> Observation {
        let live = self.lives();
        let mut observed = Observation::default();
        for slot in &live {
            observed.slots.insert(slot.as_str().into(), Content::Absent);
        }
        for one in found {
            let is_live = live.contains(&one.name);
            let content = match stamps.get(&one.name) {
                Some(Err(reason)) => Content::Busy { reason: reason.clone() },
                Some(Ok((_, Some(other)))) if other != self.environment() && !is_live => continue,
                read => {
                    let ours = |(stamp, environment): &Read| {
                        stamp.clone().filter(|_| environment.as_deref() == Some(self.environment()))
                    };
                    let stamp = read.and_then(|read| read.as_ref().ok()).and_then(ours);
                    let identity = one.identity.clone();
                    Content::Present { identity, stamp, created_by_us: one.marked }
                }
            };
            observed.slots.insert(SlotName(one.name.clone()), content);
        }
        observed
    }

    async fn schemas(&self) -> Answer<Vec<Found>> {
        let live = self.lives();
        let rows = self
            .sessions
            .ask("looking at schemas", sql::SCHEMAS, &[&live, &stamp::TABLE, &stamp::MARKER])
            .await?;
        let found = |row: &Row| Found {
            name: row.get(0),
            identity: Identity(row.get(1)),
            stamped: row.get(2),
            marked: row.get(3),
        };
        Ok(rows.iter().map(found).collect())
    }

    /// The stamps of all, in one request; one by one where one of them cannot be read.
    async fn stamps(&self, all: &[Found]) -> Answer<BTreeMap<String, Result<Read, String>>> {
        let names: Vec<&str> =
            all.iter().filter(|one| one.stamped).map(|one| one.name.as_str()).collect();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let doing = "reading stamps";
        let all = self.sessions.ask(doing, &stamp::read(&names), &[]).await;
        let rows = match all {
            Ok(rows) => rows.iter().map(|row| (row.get(0), Ok(read(row)))).collect(),
            Err(PortError::Unknown(error)) => return Err(PortError::Unknown(error)),
            Err(PortError::Refused(first)) => {
                let client = self.sessions.reading().await?;
                let mut found = BTreeMap::new();
                for name in names {
                    match client.query(stamp::read(&[name]).as_str(), &[]).await {
                        Ok(rows) => {
                            found.extend(rows.iter().map(|row| (row.get(0), Ok(read(row)))));
                        }
                        Err(error) if words::is_lost(&error) => return Err(first.into()),
                        Err(error) => {
                            found.insert(name.to_owned(), Err(words::said(&error)));
                        }
                    }
                }
                found
            }
        };
        Ok(rows)
    }
}

fn read(row: &Row) -> Read {
    let text = |index: usize| row.try_get::<_, Option<&str>>(index).ok().flatten();
    (stamp::parse([text(1), text(2), text(3), text(4)]), text(5).map(str::to_owned))
}
