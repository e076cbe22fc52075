//! Whether a hold refuses a deploy.

use super::{Failure, Fingerprint, History, Hold, HoldKind, Kind};

/// The failure of a deploy that a hold refuses, if it does. `fingerprint` is what would be
/// published, where that is known already.
#[must_use]
pub fn held(history: &History, fingerprint: Option<&Fingerprint>) -> Option<Failure> {
    let refuses = |hold: &&Hold| match hold.kind {
        HoldKind::All => true,
        HoldKind::SameCommit => fingerprint.is_some_and(|one| hold.fingerprints.contains(one)),
        HoldKind::None => false,
    };
    let holds = [history.hold_by_hand.as_ref(), history.hold_of_rollback.as_ref()];
    holds.into_iter().flatten().find(refuses).map(failure)
}

fn failure(hold: &Hold) -> Failure {
    let since = hold.at.format("%Y-%m-%d %H:%M UTC");
    let what = match (hold.kind, hold.by_rollback) {
        (HoldKind::SameCommit, _) => {
            let commit = hold
                .commit
                .as_ref()
                .map_or_else(String::new, |commit| format!(" (commit {})", commit.short()));
            format!("this is the code that was rolled back{commit}, and it is held")
        }
        (_, true) => "every deploy is held since a rollback".to_owned(),
        (_, false) => "every deploy is held".to_owned(),
    };
    let lift = match hold.kind {
        HoldKind::SameCommit => {
            "deploy a fix (other code lifts the hold), or: switchback resume --reason TEXT"
        }
        HoldKind::All | HoldKind::None => "switchback resume --reason TEXT",
    };
    Failure::new(Kind::Held, format!("{what}: by {}, {since}, because: {}", hold.by, hold.reason))
        .next(lift)
}
