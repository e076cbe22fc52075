//! `recover`: finishes or abandons what an interrupted run left.

use std::time::Instant;

use super::site::Site;
use super::{View, locked, look, refused};
use crate::domain::plan::Step;
use crate::domain::recovery::{Recovery, Verdict, recovery};
use crate::failure::Outcome;
use crate::ports::{Event, Token};
use crate::report::{Answer, Changed, Word};

/// Runs the verb.
pub async fn run(site: &Site) -> Outcome<Answer> {
    let started = Instant::now();
    let view = look(site).await?;
    if view.history.open.is_none() {
        return Ok(answer(site, &view, Word::NothingToDo, None, started));
    }
    if let Some(lease) = site.ledger.lease().await? {
        return Err(locked(&lease));
    }
    let (done, view) = site
        .under_lease("recover", false, async |token| {
            let done = under_lease(site, token).await?;
            Ok((done, look(site).await?))
        })
        .await?;
    let word = match done.as_ref().map(|recovery| recovery.verdict) {
        None => Word::NothingToDo,
        Some(Verdict::Happened) => Word::Finished,
        Some(Verdict::DidNotHappen | Verdict::None) => Word::Abandoned,
        Some(Verdict::TakenBack | Verdict::MustBeTakenBack) => Word::TakenBack,
    };
    Ok(answer(site, &view, word, done, started))
}

/// Recovers under a lease that is held already; used by `rollback`, which recovers first by
/// itself. Answers what was done, or nothing if there was nothing to do.
pub async fn under_lease(site: &Site, token: Token) -> Outcome<Option<Recovery>> {
    let View { history, observation } = look(site).await?;
    let warehouse = site.warehouse.as_ref();
    let render = |step: &Step| warehouse.render(step);
    let found = recovery(&history, &observation, &render);
    let Some(plan) = found.map_err(|obstacle| refused(site, &obstacle))? else { return Ok(None) };
    let open = &plan.open;
    site.observer.event(Event::Note(format!(
        "recovering {} of {}, interrupted at {}",
        open.began.plan.verb,
        open.began.plan.release,
        open.step.as_deref().unwrap_or("its beginning")
    )));
    let mut engine = site.engine(token);
    engine.operation = open.operation.clone();
    engine.recover(&plan).await?;
    Ok(Some(plan))
}

fn answer(
    site: &Site,
    view: &View,
    word: Word,
    done: Option<Recovery>,
    started: Instant,
) -> Answer {
    let next = match word {
        Word::Abandoned => {
            Some("start over when you are ready; nothing has to be cleaned up".into())
        }
        _ => None,
    };
    Answer::Changed(Box::new(Changed {
        plan: done.map(|recovery| recovery.open.began.plan),
        next,
        seconds: started.elapsed().as_secs_f64(),
        ..Changed::new(word, view.live(site), &view.history)
    }))
}
