//! Why there is no plan, in words.
//!
//! May import `name`.

use std::collections::BTreeMap;
use std::fmt;

use super::name::{ReleaseId, SlotName};

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A live slot cannot be read now.
    Busy {
        /// Which.
        slot: SlotName,
        /// The warehouse's words.
        reason: String,
    },
    /// The live slots do not agree.
    Mixed(BTreeMap<SlotName, Option<ReleaseId>>),
    /// A live slot's content cannot be read at all.
    Damaged {
        /// Which.
        slot: SlotName,
        /// The warehouse's words.
        reason: String,
    },
    /// Whether an interrupted cutover happened cannot be told from what is there.
    Unclear(SlotName),
    /// The ledger says that a release is live, and there is nothing at all.
    Vanished(ReleaseId),
    /// Where a build or an archive must go there is something that Switchback did not make.
    Squatter(SlotName),
    /// There is no build that waits.
    NothingWaits(Option<ReleaseId>),
    /// The build that waits was made from another release than the one that is live.
    Outdated {
        /// The build.
        release: ReleaseId,
        /// What it was made from.
        base: Option<ReleaseId>,
        /// What is live.
        live: Option<ReleaseId>,
    },
    /// The target is live already.
    AlreadyLive(ReleaseId),
    /// The target's content is not kept any more.
    NotKept(ReleaseId),
    /// An archive that is to be pruned by name does not exist.
    NoArchive(ReleaseId),
    /// A deployed release cannot be told from the ledger.
    NothingLive,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { slot, reason } => write!(f, "{slot} cannot be read now: {reason}"),
            Self::Mixed(slots) => {
                write!(f, "the live slots do not hold one release:")?;
                for (slot, release) in slots {
                    match release {
                        Some(release) => write!(f, " {slot} holds {release};")?,
                        None => write!(f, " {slot} holds no finished release;")?,
                    }
                }
                Ok(())
            }
            Self::Damaged { slot, reason } => write!(f, "{slot} cannot be read: {reason}"),
            Self::Unclear(slot) => write!(
                f,
                "what {slot} holds is neither what was live before the interrupted run nor what it \
                 was to publish"
            ),
            Self::Vanished(release) => {
                write!(f, "{release} should be live, but production is not there any more")
            }
            Self::Squatter(slot) => {
                write!(f, "there is something at {slot} that Switchback did not make")
            }
            Self::NothingWaits(None) => write!(f, "no build waits to be promoted"),
            Self::NothingWaits(Some(release)) => {
                write!(f, "{release} is not a build that waits to be promoted")
            }
            Self::Outdated { release, base, live } => {
                let name =
                    |r: &Option<ReleaseId>| r.map_or("nothing".to_owned(), |r| r.to_string());
                let (base, live) = (name(base), name(live));
                write!(f, "{release} was built from {base}, but {live} is live now")
            }
            Self::AlreadyLive(release) => write!(f, "{release} is live already"),
            Self::NotKept(release) => {
                write!(f, "the content of {release} is not kept any more, so it cannot come back")
            }
            Self::NoArchive(release) => write!(f, "there is no archive of {release}"),
            Self::NothingLive => write!(f, "nothing is live yet"),
        }
    }
}
