//! `hold` and `resume`: stop deploys by hand, and let them go on.

use super::site::Site;
use crate::domain::history::History;
use crate::domain::journal::Entry;
use crate::failure::{Failure, Outcome};
use crate::ports::Draft;
use crate::report::{Answer, Word};

/// Stops every deploy until `resume`. Needs no lease: a deploy that is under way looks for holds
/// again right before it swaps.
pub async fn hold(site: &Site) -> Outcome<Answer> {
    let reason = reason(site, "hold")?;
    append(site, Entry::Held { reason: reason.clone() }).await?;
    let lift = site.command("resume", "--reason TEXT");
    Ok(Answer::Said(
        Word::Held,
        format!("held: nothing is deployed until: {lift}\n      because: {reason}"),
    ))
}

/// Lifts whatever hold there is.
pub async fn resume(site: &Site) -> Outcome<Answer> {
    let reason = reason(site, "resume")?;
    let history = History::fold(&site.ledger.load().await?);
    let Some(hold) = history.hold() else {
        return Ok(Answer::Said(Word::NothingToDo, "nothing was held".to_owned()));
    };
    append(site, Entry::Resumed { reason }).await?;
    Ok(Answer::Said(
        Word::Resumed,
        format!("the hold by {} is lifted ({}); deploys may go on", hold.by, hold.reason),
    ))
}

fn reason(site: &Site, verb: &str) -> Outcome<String> {
    site.config.reason.clone().ok_or_else(|| {
        Failure::usage(format!("`{verb}` needs a reason: it is what the next person reads"))
            .next(site.command(verb, "--reason TEXT"))
    })
}

async fn append(site: &Site, entry: Entry) -> Outcome<()> {
    let draft = Draft { operation: site.run.clone(), token: None, by: site.actor.clone(), entry };
    site.ledger.append(draft).await.map_err(Failure::from)
}
