//! Carries the grants, and proves it.
//!
//! Both sides are read, the differences written, the candidate read again: what still differs then
//! is carried once more (a revoke takes dependent grants along, a connection may have been lost),
//! and what differs after that is refused by name. An error of a single statement is told only if
//! the grant is not there in the end.
//!
//! May import `failure`, `ports` and its siblings.

use super::Policy;
use super::differences::{self, Plan};
use super::seen::{self, Seen};
use super::standing;
use crate::adapter::snowflake::grants::Container;
use crate::adapter::snowflake::session::{Sessions, Tag};
use crate::failure::Failure;
use crate::ports::{Answer, PortError};

/// How often the differences are written.
const ROUNDS: usize = 2;

/// Gives `to` the grants of `from`, and proves that nothing differs; answers notes.
pub async fn grants(
    sessions: &Sessions,
    tag: &Tag,
    from: &Container,
    to: &Container,
    policy: &Policy,
) -> Answer<Vec<String>> {
    // Both sides are read at once, which is much to carry around on the stack.
    Box::pin(carried(sessions, tag, from, to, policy)).await
}

async fn carried(
    sessions: &Sessions,
    tag: &Tag,
    from: &Container,
    to: &Container,
    policy: &Policy,
) -> Answer<Vec<String>> {
    let (live, candidate, session) = tokio::join!(
        seen::read(sessions, tag, from),
        seen::read(sessions, tag, to),
        standing::session(sessions, tag)
    );
    let (live, mut candidate) = (live?, candidate?);
    let standing = standing::read(sessions, tag, session?, [&live, &candidate]).await?;
    let mut notes: Vec<String> = Vec::new();
    let mut errors = Vec::new();
    for round in 0..=ROUNDS {
        let plan = differences::plan(&live, &candidate, &standing, policy);
        for note in &plan.notes {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        if !plan.refused.is_empty() {
            return Err(refusal(&live, &candidate, &plan.refused, &[]));
        }
        if plan.is_done() {
            return Ok(notes);
        }
        if round == ROUNDS {
            return Err(refusal(&live, &candidate, &plan.differing, &errors));
        }
        errors = write(sessions, tag, plan).await;
        candidate = seen::read(sessions, tag, to).await?;
    }
    Ok(notes)
}

/// Writes the waves; what failed, in words.
async fn write(sessions: &Sessions, tag: &Tag, plan: Plan) -> Vec<String> {
    let mut errors = Vec::new();
    for mut wave in plan.waves {
        while !wave.is_empty() {
            let answers = sessions.run_all(tag, wave.clone()).await;
            let before = errors.len();
            let mut waiting = Vec::new();
            for (sql, answer) in wave.into_iter().zip(answers) {
                match answer {
                    Ok(_) => {}
                    Err(PortError::Refused(failure)) if is_not_sent(&failure) => waiting.push(sql),
                    Err(error) => errors.push(format!("{sql}: {error}")),
                }
            }
            // One that failed does not keep the others back, but somebody has to have failed.
            wave = if errors.len() > before { waiting } else { Vec::new() };
        }
    }
    errors
}

fn is_not_sent(failure: &Failure) -> bool {
    failure.message.starts_with("not sent")
}

fn refusal(from: &Seen, to: &Seen, what: &[String], errors: &[String]) -> PortError {
    let (from, to) = (from.container.sql(), to.container.sql());
    let mut lines: Vec<String> = what.iter().map(|one| format!("\n  {one}")).collect();
    lines.extend(errors.iter().map(|error| format!("\n  {error}")));
    let message = format!(
        "the grants of {from} could not be carried to {to}; nothing was swapped:{}",
        lines.concat()
    );
    PortError::Refused(Failure::stopped(message).next(
        "give the role what it lacks (`switchback doctor` lists it), or change the grant, and run \
         it again",
    ))
}
