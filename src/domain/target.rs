//! What a rollback is asked to go back to, and which release that is.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use super::history::{History, ReleaseState};
use super::name::ReleaseId;

/// The wish, as `--to` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The newest published ancestor of live.
    Previous,
    /// A release by number.
    Release(ReleaseId),
    /// Whatever was live at that moment.
    Time(DateTime<Utc>),
    /// A commit (at least four hexadecimal digits of it) or a mark's name.
    Name(String),
}

impl Wish {
    /// Reads `previous`, `rN`, a UTC time (`2026-11-23`, `2026-11-23T02:00`, with or without
    /// seconds and offset), or else a commit or a mark's name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() || text == "previous" {
            return Self::Previous;
        }
        if let Ok(release) = text.parse() {
            return Self::Release(release);
        }
        if let Some(time) = parse_time(text) {
            return Self::Time(time);
        }
        Self::Name(text.to_owned())
    }
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    let bare = text.strip_suffix('Z').unwrap_or(text);
    ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(bare, format).ok())
        .or_else(|| {
            NaiveDate::parse_from_str(bare, "%Y-%m-%d")
                .ok()
                .and_then(|day| day.and_hms_opt(0, 0, 0))
        })
        .map(|naive| naive.and_utc())
}

/// Why a wish names no release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTarget {
    /// There is nothing before live.
    NothingBefore(ReleaseId),
    /// No release of that number, commit or mark.
    Unknown(String),
    /// Several releases were built from that commit.
    Ambiguous(String, Vec<ReleaseId>),
    /// Nothing was live then.
    BeforeTheFirst(DateTime<Utc>),
}

impl fmt::Display for NoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingBefore(live) => {
                write!(f, "there is no release before {live} to go back to")
            }
            Self::Unknown(text) => write!(
                f,
                "`{text}` is no release, commit, mark or time that this environment knows; allowed \
                 are `previous`, a release such as `r3`, a commit (four digits or more), a mark, or \
                 a UTC time such as `2026-11-23T02:00`"
            ),
            Self::Ambiguous(text, releases) => {
                let names: Vec<_> = releases.iter().map(ToString::to_string).collect();
                write!(f, "`{text}` could mean any of {}; name one", names.join(", "))
            }
            Self::BeforeTheFirst(at) => {
                write!(f, "no release was live at {}", at.format("%Y-%m-%d %H:%M:%S UTC"))
            }
        }
    }
}

/// Which release a wish means while `live` is live. Whether its content still exists is another
/// question, answered from stamps.
pub fn resolve(wish: &Wish, history: &History, live: ReleaseId) -> Result<ReleaseId, NoTarget> {
    match wish {
        Wish::Previous => history.previous(live).ok_or(NoTarget::NothingBefore(live)),
        Wish::Release(id) => match history.release(*id) {
            Some(release) if was_live(release.state) => Ok(*id),
            // The journal may have been lost; whether the content is there is read from stamps.
            None if *id <= live => Ok(*id),
            _ => Err(NoTarget::Unknown(id.to_string())),
        },
        Wish::Time(at) => history.live_at(*at).ok_or(NoTarget::BeforeTheFirst(*at)),
        Wish::Name(text) => {
            let commit = text.to_ascii_lowercase();
            let is_commit = commit.len() >= 4 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            let found: Vec<ReleaseId> = history
                .releases
                .values()
                .filter(|release| is_commit && was_live(release.state))
                .filter(|release| {
                    release.commit.as_ref().is_some_and(|c| c.as_str().starts_with(&commit))
                })
                .map(|release| release.id)
                .collect();
            match found.as_slice() {
                [] => Err(NoTarget::Unknown(text.clone())),
                [one] => Ok(*one),
                several => Err(NoTarget::Ambiguous(text.clone(), several.to_vec())),
            }
        }
    }
}

fn was_live(state: ReleaseState) -> bool {
    matches!(state, ReleaseState::Published | ReleaseState::Adopted)
}
