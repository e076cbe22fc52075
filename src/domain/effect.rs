//! Effects: what a step does to the outside world, as data. A dry run prints them, a real run
//! journals them before they are performed.
//!
//! May import `name`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::{Identity, ReleaseId, SlotName};

/// One thing that is done to the outside world. Effects are data: they are printed by a dry run
/// and journalled by a real one before they are performed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Effect {
    /// Create an empty file and record beside it which file it is.
    CreateFile {
        /// The file.
        path: String,
    },
    /// Copy a file's content into an existing one, by reflink where the filesystem can.
    CopyFile {
        /// Source.
        from: String,
        /// Destination.
        to: String,
    },
    /// Copy owner, mode and ACL.
    CopyAccess {
        /// Source.
        from: String,
        /// Destination.
        to: String,
    },
    /// Run SQL inside a slot. `$identity` stands for the slot's identity at that moment.
    Sql {
        /// The slot.
        slot: SlotName,
        /// The text.
        text: String,
    },
    /// Keep a read-only connection on a slot, which keeps writers out until the run ends.
    Guard {
        /// The slot.
        slot: SlotName,
    },
    /// Refuse to go on where a write-ahead log is left over.
    RefuseWal {
        /// The slots.
        slots: Vec<SlotName>,
    },
    /// Exchange two files in one system call.
    Exchange {
        /// The live file.
        left: String,
        /// The other.
        right: String,
        /// Whether a guard must hold what is live.
        #[serde(default = "yes")]
        guarded: bool,
    },
    /// Move a file to where nothing is, in one system call that fails if something is.
    PlaceNew {
        /// From.
        from: String,
        /// To.
        to: String,
    },
    /// Rename the directory that holds a slot.
    MoveSlot {
        /// The slot under its present name.
        from: SlotName,
        /// The slot under its new name.
        to: SlotName,
    },
    /// Remove a slot and its directory, provided it is still ours and holds that release (or a
    /// copy of ours that was never stamped).
    RemoveSlot {
        /// The slot.
        slot: SlotName,
        /// The release it must hold.
        release: ReleaseId,
    },
    /// Refuse to go on unless a slot is a certain container.
    Require {
        /// The slot.
        slot: SlotName,
        /// The container it must be.
        identity: Identity,
    },
    /// Rewrite what views name, faithfully or not at all: from a container's name to another's, or to
    /// none where a name without it means the view's own container.
    Relink {
        /// The slot whose views are rewritten.
        slot: SlotName,
        /// The names that must not stay, and what takes their place.
        names: Vec<(SlotName, Option<SlotName>)>,
    },
    /// Bring something of one slot over to another and prove that nothing differs.
    Carry {
        /// What.
        what: Carried,
        /// Source.
        from: SlotName,
        /// Destination.
        to: SlotName,
    },
    /// Run dbt.
    Dbt {
        /// Its arguments.
        arguments: Vec<String>,
        /// Where it works: `build` or `live`.
        on: String,
    },
    /// Read and compare; changes nothing.
    Inspect {
        /// What is looked at.
        what: String,
    },
}

fn yes() -> bool {
    true
}

/// What is carried from one slot to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carried {
    /// The container's own settings: comment, tags, parameters, retention.
    Settings,
    /// Who may do what, the container's own grants included.
    Grants,
    /// What runs by itself: it is started there and stopped here.
    Tasks,
    /// Nothing is carried: what a copy left out is found, and stops where it would be lost.
    Objects,
    /// Definitions and rows.
    Content,
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settings => "settings",
            Self::Grants => "grants",
            Self::Tasks => "tasks",
            Self::Objects => "objects",
            Self::Content => "content",
        })
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateFile { path } => write!(f, "create    {path}"),
            Self::CopyFile { from, to } => write!(f, "copy      {from} → {to}"),
            Self::CopyAccess { from, to } => write!(f, "access    {from} → {to}"),
            Self::Sql { slot, text } => write!(f, "sql       {text}   -- in {slot}"),
            Self::Guard { slot } => write!(f, "guard     {slot}"),
            Self::RefuseWal { slots } => {
                let names: Vec<_> = slots.iter().map(|slot| format!("{slot}.wal")).collect();
                write!(f, "require   no {}", names.join(", no "))
            }
            Self::Exchange { left, right, .. } => write!(f, "exchange  {left} ⇄ {right}"),
            Self::PlaceNew { from, to } => write!(f, "place     {from} → {to}"),
            Self::MoveSlot { from, to } => write!(f, "rename    {from} → {to}"),
            Self::RemoveSlot { slot, release } => {
                write!(f, "remove    {slot}, if it holds {release}")
            }
            Self::Require { slot, identity } => write!(f, "require   {slot} is {identity}"),
            Self::Relink { slot, names } => {
                write!(f, "relink    the views of {slot}")?;
                for (from, to) in names {
                    match to {
                        Some(to) => write!(f, ", {from} → {to}")?,
                        None => write!(f, ", without {from}")?,
                    }
                }
                Ok(())
            }
            Self::Carry { what: Carried::Objects, from, to } => {
                write!(f, "inspect   {to} against {from}: nothing is left out")
            }
            Self::Carry { what, from, to } => write!(f, "carry     {what}: {from} → {to}"),
            Self::Dbt { arguments, on } => {
                write!(f, "dbt       {}   (on {on})", arguments.join(" "))
            }
            Self::Inspect { what } => write!(f, "inspect   {what}"),
        }
    }
}
