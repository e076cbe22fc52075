//! Answers as JSON: one object, the same keys on every exit.

use serde_json::{Value, json};

use super::{Answer, Changed, Row, Shown, Status};
use crate::domain::history::Hold;
use crate::failure::{Failure, Kind};

/// An answer as one JSON object.
#[must_use]
pub fn answer(answer: &Answer) -> Value {
    match answer {
        Answer::Changed(changed) => self::changed(changed),
        Answer::Status(status) => self::status(status),
        Answer::Releases(rows) => json!({ "releases": rows.iter().map(row).collect::<Vec<_>>() }),
        Answer::Doctor(checks) => json!({
            "checks": checks.iter().map(|check| json!({
                "what": check.what,
                "ok": check.found.is_ok(),
                "found": match &check.found { Ok(text) | Err(text) => text },
                "next": check.next,
            })).collect::<Vec<_>>()
        }),
        Answer::Said(word, message) => json!({ "outcome": word.as_str(), "message": message }),
    }
}

/// A failure as one JSON object.
#[must_use]
pub fn failure(failure: &Failure) -> Value {
    let outcome = match failure.kind {
        Kind::Unexpected => "failed",
        Kind::Usage | Kind::Held | Kind::Locked => "refused",
        Kind::Stopped => "stopped",
        Kind::SwappedBack => "swapped-back",
        Kind::Unfinished => "unfinished",
        Kind::Interrupted | Kind::Terminated => "interrupted",
    };
    json!({
        "outcome": outcome,
        "error": {
            "kind": failure.kind,
            "message": failure.explanation(),
            "production": failure.production,
            "next": failure.next,
        },
        "exit-code": failure.kind.exit_code(),
    })
}

fn changed(changed: &Changed) -> Value {
    json!({
        "outcome": changed.word.as_str(),
        "live": changed.live.as_ref().map(shown),
        "previous": changed.previous.as_ref().map(shown),
        "plan": changed.plan,
        "changes": changed.changes,
        "findings": changed.findings,
        "dbt": changed.dbt,
        "loss": changed.loss,
        "hold": changed.hold.as_ref().map(hold),
        "notes": changed.notes,
        "rollback-command": changed.undo,
        "next": changed.next,
        "seconds": changed.seconds,
    })
}

fn shown(shown: &Shown) -> Value {
    json!({
        "release": shown.release,
        "commit": shown.commit,
        "dirty": shown.dirty,
        "at": shown.at,
    })
}

fn hold(hold: &Hold) -> Value {
    json!({
        "kind": hold.kind,
        "reason": hold.reason,
        "by": hold.by,
        "at": hold.at,
        "commit": hold.commit,
    })
}

fn status(status: &Status) -> Value {
    json!({
        "environment": status.environment,
        "warehouse": status.warehouse,
        "live": status.live.as_ref().map(shown),
        "doubt": status.doubt,
        "hold": status.hold.as_ref().map(hold),
        "unfinished": status.unfinished.as_ref().map(|(release, step, at, by)| {
            json!({ "release": release, "step": step, "at": at, "by": by })
        }),
        "running": status.running,
        "waiting": status.waiting.iter().map(shown).collect::<Vec<_>>(),
        "ledger": status.ledger,
    })
}

fn row(row: &Row) -> Value {
    json!({
        "release": row.shown.release,
        "commit": row.shown.commit,
        "dirty": row.shown.dirty,
        "state": row.state,
        "displaced": row.displaced,
        "at": row.shown.at,
        "actor": row.actor,
        "reason": row.reason,
        "restorable": row.restorable.as_ref().map(|(by, until)| {
            json!({ "by": by, "until": until })
        }),
        "previous": row.is_previous,
    })
}
