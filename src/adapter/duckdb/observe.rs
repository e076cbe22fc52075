//! Which content sits where: the files there are, and the stamps in them.
//!
//! Invariants: reading creates nothing; a file whose content cannot be read, now or later, is
//! told from one that is busy, and never makes the look as a whole fail.
//! May import `domain`, `failure`, `ports` and this adapter's files.

use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::child::Trouble;
use super::files::{self, Format};
use super::slots::{self, Found};
use super::warehouse::DuckDb;
use super::{stamp, words};
use crate::domain::name::SlotName;
use crate::domain::slot::{Content, Observation, Stamp};
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{Answer, PortError};

impl DuckDb {
    /// Observes; repeated while a cutover happens in between.
    pub(super) async fn observe_slots(&self) -> Answer<Observation> {
        let mut tries = 0;
        loop {
            let before = self.list()?;
            let mut observed = Observation::default();
            observed.slots.insert(self.slots[0].clone(), Content::Absent);
            let stamps = self.stamps(&before).await?;
            for (found, seen) in before.iter().zip(stamps) {
                observed.slots.insert(found.slot.clone(), Self::content(found, seen));
            }
            tries += 1;
            if tries == 3 || same(&before, &self.list()?) {
                return Ok(observed);
            }
        }
    }

    /// Looks at one slot only.
    pub(super) async fn observe_one(&self, slot: &SlotName) -> Answer<Content> {
        let all: Vec<_> = self.list()?.into_iter().filter(|found| found.slot == *slot).collect();
        let seen = self.stamps(&all).await?.pop();
        Ok(match (all.first(), seen) {
            (Some(found), Some(seen)) => Self::content(found, seen),
            _ => Content::Absent,
        })
    }

    fn list(&self) -> Answer<Vec<Found>> {
        let path = &self.live.path;
        let mut all = slots::list(&self.home, self.live.file_name())
            .map_err(|error| files::refused("cannot list", &self.home.directory, error))?;
        let live = files::stat(path).map_err(|e| files::refused("cannot look at", path, e))?;
        all.extend(live.map(|stat| Found {
            slot: self.slots[0].clone(),
            stat,
            created_by_us: false,
        }));
        Ok(all)
    }

    /// What DuckDB says of each file: all in one request, or one by one where a file is so
    /// damaged that reading it ends the child.
    async fn stamps(&self, all: &[Found]) -> Answer<Vec<Seen>> {
        let mut seen: Vec<Seen> = all.iter().map(|found| look(found.slot.as_path())).collect();
        let readable: Vec<usize> =
            (0..all.len()).filter(|n| matches!(seen[*n], Seen::Stamp(_))).collect();
        let mut groups = vec![readable];
        while let Some(group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            let names: Vec<_> = group.iter().map(|n| all[*n].slot.as_str()).collect();
            let request = json!({"op": "stamps", "files": names});
            match self.sql.ask(&request, self.query_timeout).await? {
                Ok(answer) => {
                    let answers: Vec<RawStamp> = serde_json::from_value(answer)
                        .map_err(|error| PortError::Refused(anyhow::Error::new(error).into()))?;
                    for (n, answer) in group.into_iter().zip(answers) {
                        seen[n] = answer.into();
                    }
                }
                Err(_) if group.len() > 1 => groups.extend(group.into_iter().map(|n| vec![n])),
                Err(Trouble::Lost(what)) if words::is_passing("", &what) => {
                    seen[group[0]] = Seen::Busy(what);
                }
                Err(Trouble::Lost(what) | Trouble::Sql { message: what, .. }) => {
                    seen[group[0]] = Seen::Unreadable(format!("DuckDB cannot read it: {what}"));
                }
            }
        }
        Ok(seen)
    }

    fn content(found: &Found, seen: Seen) -> Content {
        let identity = found.stat.identity.clone();
        let stamp = match seen {
            Seen::Stamp(stamp) => stamp,
            Seen::Busy(reason) => return Content::Busy { reason },
            // A copy of ours that was cut short: it must stay droppable.
            _ if found.created_by_us => None,
            unreadable => {
                let failure = unreadable.failure(found.slot.as_path(), found.stat.size);
                let reason = failure.message;
                return Content::Unreadable { identity, reason };
            }
        };
        Content::Present { identity, stamp, created_by_us: found.created_by_us }
    }

    /// Fails where a deploy cannot read live, now or at all.
    pub(super) async fn live_is_readable(&self) -> Outcome<()> {
        let path = &self.live.path;
        let all = self.list()?;
        let Some(live) = all.iter().position(|found| found.slot == self.slots[0]) else {
            return Ok(());
        };
        let seen = self.stamps(&all[live..=live]).await?.swap_remove(0);
        match seen {
            Seen::Stamp(_) => Ok(()),
            Seen::Busy(reason) => Err(words::explain(path, "IOException", &reason)
                .production("Production is unchanged by Switchback.")),
            damaged => {
                let failure = damaged.failure(path, all[live].stat.size);
                let has_better = match damaged {
                    Seen::Encrypted => true,
                    Seen::NoDuckDb => false,
                    _ => failure.next.is_some(),
                };
                if all.len() == 1 || has_better {
                    return Err(failure);
                }
                // There are releases to return to, so nothing is to be removed.
                Err(failure.next(
                    "if it is damaged, `switchback rollback --reason …` puts the previous release \
                     back without reading it (`switchback status` shows what is kept)",
                ))
            }
        }
    }
}

/// What was found in one file.
enum Seen {
    Stamp(Option<Stamp>),
    Busy(String),
    NoDuckDb,
    Encrypted,
    Unreadable(String),
    Wrong(String, String),
}

impl Seen {
    /// What is to be said of a file that cannot be read, now or later.
    fn failure(&self, path: &Path, size: u64) -> Failure {
        match self {
            Self::Wrong(kind, message) => words::explain(path, kind, message),
            Self::Encrypted => words::encrypted(&path.display().to_string()),
            Self::NoDuckDb => no_database(path, size),
            Self::Unreadable(reason) | Self::Busy(reason) => Failure::new(
                Kind::Unexpected,
                format!("{} cannot be read: {reason}", path.display()),
            ),
            Self::Stamp(_) => Failure::new(Kind::Unexpected, "it can be read"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawStamp {
    Stamp(Option<Vec<Option<String>>>),
    Error {
        #[serde(rename = "type")]
        kind: String,
        message: String,
    },
}

impl From<RawStamp> for Seen {
    fn from(raw: RawStamp) -> Self {
        match raw {
            RawStamp::Stamp(row) => Self::Stamp(row.as_deref().and_then(stamp::parse)),
            RawStamp::Error { kind, message } if words::is_passing(&kind, &message) => {
                Self::Busy(message)
            }
            RawStamp::Error { kind, message } => Self::Wrong(kind, message),
        }
    }
}

/// Looks at a file's first bytes; `Seen::Stamp` means that DuckDB is to be asked.
fn look(path: &Path) -> Seen {
    match files::format(path) {
        Ok(Format::DuckDb) => Seen::Stamp(None),
        Ok(Format::Encrypted) => Seen::Encrypted,
        Ok(Format::Other) => Seen::NoDuckDb,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Seen::Busy(error.to_string())
        }
        Err(error) => Seen::Unreadable(error.to_string()),
    }
}

fn no_database(path: &Path, size: u64) -> Failure {
    let path = path.display();
    if size == 0 {
        return Failure::usage(format!(
            "{path} is empty (0 bytes), which DuckDB does not accept as a database"
        ))
        .next(format!("remove it (`rm '{path}'`): the first deploy creates it"));
    }
    Failure::usage(format!("{path} is not a DuckDB file")).next("correct `path` in profiles.yml")
}

fn same(before: &[Found], after: &[Found]) -> bool {
    let key = |all: &[Found]| -> Vec<_> {
        all.iter().map(|found| (found.slot.clone(), found.stat.identity.clone())).collect()
    };
    key(before) == key(after)
}
