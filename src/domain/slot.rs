//! Slots as they are observed: which content sits where, by its stamp.
//!
//! Invariant: nothing here is concluded from a name. A stamp counts only when it is sealed and
//! names the very container it was read from; a copy carries its original's stamp and is
//! therefore unsealed until it is stamped anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::name::{Identity, ReleaseId, SlotName};

/// Whether the content is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seal {
    /// dbt may still be working in it.
    Building,
    /// Built and verified: it may be published.
    Sealed,
}

impl std::fmt::Display for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Building => "building",
            Self::Sealed => "sealed",
        })
    }
}

/// The small table inside the content that says what the content is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The release this content is, or is to become.
    pub release: ReleaseId,
    /// Which attempt at that release made it, counted from 1.
    pub attempt: u32,
    /// Whether it is finished.
    pub seal: Seal,
    /// The container the stamp was written in.
    pub identity: Identity,
}

/// What one slot holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// There is no such container.
    Absent,
    /// A container, and the stamp in it if any.
    Present {
        /// Which container it is.
        identity: Identity,
        /// The stamp read from it.
        stamp: Option<Stamp>,
        /// Whether this very container was created by Switchback (so that it may be dropped
        /// although it was never stamped, for example when a copy was cut short).
        created_by_us: bool,
    },
    /// A container whose content cannot be read at all, now or later: damaged, or not a database.
    Unreadable {
        /// Which container it is.
        identity: Identity,
        /// The warehouse's own words.
        reason: String,
    },
    /// It cannot be read now, for example because another process writes in it.
    Busy {
        /// The warehouse's own words.
        reason: String,
    },
}

impl Content {
    /// The stamp, if it speaks of this very container.
    #[must_use]
    pub fn own_stamp(&self) -> Option<&Stamp> {
        match self {
            Self::Present { identity, stamp: Some(stamp), .. } if stamp.identity == *identity => {
                Some(stamp)
            }
            _ => None,
        }
    }

    /// The release it is, if it is a finished one.
    #[must_use]
    pub fn release(&self) -> Option<ReleaseId> {
        self.own_stamp().filter(|stamp| stamp.seal == Seal::Sealed).map(|stamp| stamp.release)
    }

    /// The container's identity, where there is one that can be read.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Present { identity, .. } | Self::Unreadable { identity, .. } => Some(identity),
            Self::Absent | Self::Busy { .. } => None,
        }
    }

    /// Whether it may be dropped: it carries our stamp, or we created this very container.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.own_stamp().is_some() || matches!(self, Self::Present { created_by_us: true, .. })
    }
}

/// Everything an adapter saw of one environment at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Every slot that was looked at: the live ones always (also when absent), builds and
    /// archives where they exist.
    pub slots: BTreeMap<SlotName, Content>,
}

impl Observation {
    /// What `slot` holds; a slot that was not seen is absent.
    #[must_use]
    pub fn content(&self, slot: &SlotName) -> &Content {
        self.slots.get(slot).unwrap_or(&Content::Absent)
    }
}

/// What the live slots of an environment hold, taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Live {
    /// No live slot exists yet.
    Empty,
    /// Every live slot holds this release.
    Release(ReleaseId),
    /// Content that no stamp of ours speaks for: made by dbt alone, or replaced by hand.
    Unstamped(BTreeMap<SlotName, Identity>),
    /// The slots do not agree.
    Mixed(BTreeMap<SlotName, Option<ReleaseId>>),
    /// A slot's content cannot be read at all.
    Damaged {
        /// Which slot.
        slot: SlotName,
        /// The warehouse's own words.
        reason: String,
        /// The containers of all live slots.
        identities: BTreeMap<SlotName, Identity>,
    },
    /// A slot cannot be read now.
    Busy {
        /// Which slot.
        slot: SlotName,
        /// The warehouse's own words.
        reason: String,
    },
}

impl Live {
    /// Judges the live slots of an observation.
    #[must_use]
    pub fn of(live: &[SlotName], observation: &Observation) -> Self {
        let mut releases = BTreeMap::new();
        let mut identities = BTreeMap::new();
        let mut absent = 0;
        let mut damaged = None;
        for slot in live {
            match observation.content(slot) {
                Content::Busy { reason } => {
                    return Self::Busy { slot: slot.clone(), reason: reason.clone() };
                }
                Content::Absent => {
                    absent += 1;
                    releases.insert(slot.clone(), None);
                }
                Content::Unreadable { identity, reason } => {
                    identities.insert(slot.clone(), identity.clone());
                    damaged.get_or_insert_with(|| (slot.clone(), reason.clone()));
                }
                content @ Content::Present { identity, .. } => {
                    releases.insert(slot.clone(), content.release());
                    identities.insert(slot.clone(), identity.clone());
                }
            }
        }
        if let Some((slot, reason)) = damaged {
            return Self::Damaged { slot, reason, identities };
        }
        if absent == live.len() {
            return Self::Empty;
        }
        let mut distinct: Vec<_> = releases.values().collect();
        distinct.dedup();
        match distinct.as_slice() {
            [Some(release)] => Self::Release(*release),
            [None] if absent == 0 => Self::Unstamped(identities),
            _ => Self::Mixed(releases),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(identity: &str, stamp: Option<(u32, Seal, &str)>) -> Content {
        Content::Present {
            identity: identity.into(),
            stamp: stamp.map(|(release, seal, identity)| Stamp {
                release: ReleaseId(release),
                attempt: 1,
                seal,
                identity: identity.into(),
            }),
            created_by_us: false,
        }
    }

    fn live(contents: &[(&str, Content)]) -> Live {
        let slots: Vec<SlotName> = contents.iter().map(|(name, _)| SlotName::from(*name)).collect();
        let observation = Observation {
            slots: contents.iter().map(|(n, c)| (SlotName::from(*n), c.clone())).collect(),
        };
        Live::of(&slots, &observation)
    }

    #[test]
    fn a_sealed_stamp_in_its_own_container_is_a_release() {
        assert_eq!(
            live(&[("a", present("1", Some((3, Seal::Sealed, "1"))))]),
            Live::Release(ReleaseId(3))
        );
    }

    #[test]
    fn a_copy_that_was_not_restamped_is_not_a_release() {
        let copy = present("2", Some((3, Seal::Sealed, "1")));
        assert_eq!(copy.release(), None);
        assert!(!copy.is_ours());
    }

    #[test]
    fn slots_that_disagree_are_mixed() {
        let seen = live(&[
            ("a", present("1", Some((3, Seal::Sealed, "1")))),
            ("b", present("2", Some((2, Seal::Sealed, "2")))),
        ]);
        assert!(matches!(seen, Live::Mixed(_)));
    }

    #[test]
    fn a_building_stamp_in_live_is_not_a_release() {
        let seen = live(&[("a", present("1", Some((3, Seal::Building, "1"))))]);
        assert!(matches!(seen, Live::Unstamped(_)));
    }

    #[test]
    fn no_slot_at_all_is_empty_and_some_missing_is_mixed() {
        assert_eq!(live(&[("a", Content::Absent), ("b", Content::Absent)]), Live::Empty);
        assert!(matches!(
            live(&[("a", Content::Absent), ("b", present("1", None))]),
            Live::Mixed(_)
        ));
    }
}
