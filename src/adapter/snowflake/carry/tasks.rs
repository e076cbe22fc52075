//! Hands tasks and alerts over after a swap. Pipes and dynamic tables are not resumed: what they
//! would load or compute is not known here ([`super::objects`] has asked for leave).
//!
//! May import `ports` and its siblings.

use super::graph::{self, Steps, Tasks};
use crate::adapter::snowflake::grants::Container;
use crate::adapter::snowflake::session::{Sessions, Tag};
use crate::failure::Failure;
use crate::ports::{Answer, PortError};

const KINDS: [(&str, &str); 2] = [("TASK", "TASKS"), ("ALERT", "ALERTS")];

/// Resumes in `live` what runs in `displaced`, which was live, and suspends it there; answers notes.
/// Doing it again finds nothing to do.
pub async fn tasks(
    sessions: &Sessions,
    tag: &Tag,
    displaced: &Container,
    live: &Container,
) -> Answer<Vec<String>> {
    let first = decide(sessions, tag, displaced, live).await?;
    let mut notes = Vec::new();
    for steps in &first {
        notes.extend(steps.notes.iter().cloned());
        for statement in &steps.statements {
            sessions.write(tag, statement).await?;
        }
    }
    if first.iter().all(|steps| steps.statements.is_empty()) {
        return Ok(notes);
    }
    let left = decide(sessions, tag, displaced, live).await?;
    let left: Vec<String> = left.into_iter().flat_map(|steps| steps.statements).collect();
    if left.is_empty() {
        return Ok(notes);
    }
    let lines: Vec<String> = left.iter().map(|one| format!("\n  {one};")).collect();
    Err(PortError::Refused(
        Failure::stopped(format!(
            "tasks were not handed over; this is left to do:{}",
            lines.concat()
        ))
        .next("run these statements, or `switchback recover`"),
    ))
}

async fn decide(
    sessions: &Sessions,
    tag: &Tag,
    displaced: &Container,
    live: &Container,
) -> Answer<Vec<Steps>> {
    let mut questions = Vec::new();
    for container in [displaced, live] {
        for (_, plural) in KINDS {
            questions.push(format!("SHOW {plural} IN {}", container.sql()));
        }
    }
    let answers = sessions.read_all(tag, questions).await?;
    let (old, new) = answers.split_at(KINDS.len());
    let mut all = Vec::new();
    for ((kind, _), (old, new)) in KINDS.into_iter().zip(old.iter().zip(new)) {
        let old: Tasks = graph::read(displaced, old)?;
        let new: Tasks = graph::read(live, new)?;
        all.push(graph::steps(kind, (displaced, &old), (live, &new)));
    }
    Ok(all)
}
