//! Digests of tables' rows: only of those whose rows can differ although their number is the same, each
//! once as long as it is not touched.
//!
//! `LAST_ALTERED` moves whenever a table's rows do, and for other reasons too
//! (`/sql-reference/info-schema/tables`): what was not altered since the copy was made has, in the
//! copy and in the original, the rows of that moment.
//!
//! May import `domain`, `ports` and its siblings.

use std::collections::BTreeMap;

use super::contents::{Contents, Found};
use super::session::{Sessions, Tag};
use crate::domain::inventory::{Local, RelationKind};
use crate::ports::{Answer, PortError};

/// How many tables one statement digests.
const DIGESTED_AT_ONCE: usize = 100;

/// Moments of the server's clock after which a change counts.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Before live was copied.
    pub live: Option<String>,
    /// After live was copied, before anybody wrote to the copy.
    pub copy: Option<String>,
}

/// A table at a state: where it is, when it was created and last altered.
type State = (String, Option<String>, Option<String>);

/// Digests by table and state; `None` where a table cannot be digested.
pub type Digests = BTreeMap<State, Option<String>>;

fn state(found: &Found) -> State {
    (found.path.quoted(), found.created.clone(), found.last_altered.clone())
}

/// The tables of which only a digest tells whether both sides have the same rows.
#[must_use]
pub fn undecided(live: &Contents, other: &Contents, touched: &Touched) -> Vec<Local> {
    let after = |found: &Found, moment: Option<&String>| match (&found.last_altered, moment) {
        (Some(at), Some(moment)) => at > moment,
        _ => true,
    };
    let undecided = |(local, one): &(&Local, &Found)| {
        let is_table = one.relation.kind == RelationKind::Table;
        is_table
            && other.get(local).is_some_and(|two| {
                two.relation.kind == one.relation.kind
                    && two.relation.rows == one.relation.rows
                    && two.relation.columns == one.relation.columns
                    && (after(one, touched.live.as_ref()) || after(two, touched.copy.as_ref()))
            })
    };
    live.iter().filter(undecided).map(|(local, _)| local.clone()).collect()
}

/// Adds digests of the rows of tables, in parallel.
pub async fn digest(
    sessions: &Sessions,
    tag: &Tag,
    wanted: &mut [(&mut Contents, &Vec<Local>)],
    known: &mut Digests,
) -> Answer<()> {
    let all = wanted.iter().flat_map(|(contents, asked)| {
        asked.iter().filter_map(|local| contents.get(local)).filter(|one| {
            one.relation.kind == RelationKind::Table && !known.contains_key(&state(one))
        })
    });
    let missing: Vec<State> = all.map(state).collect();
    let batches: Vec<&[State]> = missing.chunks(DIGESTED_AT_ONCE).collect();
    let select = |(at, (path, ..)): (usize, &State)| {
        format!("SELECT {at} AS AT, TO_VARCHAR(HASH_AGG(*)) AS DIGEST FROM {path}")
    };
    let statement = |batch: &&[State]| -> String {
        batch.iter().enumerate().map(select).collect::<Vec<_>>().join(" UNION ALL ")
    };
    match sessions.read_all(tag, batches.iter().map(statement).collect()).await {
        Ok(answers) => {
            for (batch, rows) in batches.iter().zip(answers) {
                for row in rows.rows {
                    let at = row.first().and_then(|cell| cell.as_deref()?.parse::<usize>().ok());
                    if let Some(state) = at.and_then(|at| batch.get(at)) {
                        // The digest of no rows is NULL.
                        let digest = row.get(1).cloned().flatten().unwrap_or_default();
                        known.insert(state.clone(), Some(digest));
                    }
                }
            }
        }
        // A type that cannot be hashed, or a table that went meanwhile: the others all the same.
        Err(PortError::Refused(_)) => each(sessions, tag, &missing, known).await?,
        Err(error) => return Err(error),
    }
    for (contents, asked) in wanted {
        for local in *asked {
            if let Some(found) = contents.get_mut(local) {
                found.relation.content = known.get(&state(found)).cloned().flatten();
            }
        }
    }
    Ok(())
}

async fn each(
    sessions: &Sessions,
    tag: &Tag,
    missing: &[State],
    known: &mut Digests,
) -> Answer<()> {
    for state in missing {
        let select = format!("SELECT TO_VARCHAR(HASH_AGG(*)) AS DIGEST FROM {}", state.0);
        match sessions.read(tag, &select).await {
            Ok(rows) => {
                let digest = rows.rows.first().and_then(|row| row.first()).cloned().flatten();
                known.insert(state.clone(), Some(digest.unwrap_or_default()));
            }
            Err(PortError::Refused(_)) => {
                known.insert(state.clone(), None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
