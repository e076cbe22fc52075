//! `rollback`: swaps an earlier (or later) release back in, says what leaves production, keeps
//! what it displaces and holds the fault off.

use std::time::Instant;

use super::deploy::untouched;
use super::site::Site;
use super::{View, look, look_after, past, recover};
use crate::domain::inventory::Change;
use crate::domain::journal::{Baseline, Began};
use crate::domain::name::ReleaseId;
use crate::domain::plan::{Plan, Step};
use crate::domain::planner::{self, Obstacle, standing};
use crate::domain::target::{Wish, resolve};
use crate::domain::verify::{Loss, loss};
use crate::engine::Rules;
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::Next;
use crate::report::{Answer, Changed, Shown, Word, moment};

/// Up to how many rows, both sides together, what a rollback takes out is found by comparing rows;
/// beyond, it is found by counting them, so that a rollback takes seconds whatever the size.
const COMPARED_ROWS: u64 = 5_000_000;

/// What a rollback is about to do.
struct Prepared {
    view: View,
    plan: Plan,
    loss: Loss,
    baseline: Option<Baseline>,
    /// For what cannot be compared before it is back: everything written since leaves production.
    since: Option<past::Since>,
}

/// Runs the verb.
pub async fn run(site: &Site, to: Option<&str>) -> Outcome<Answer> {
    let started = Instant::now();
    if site.config.reason.is_none() {
        return Err(Failure::usage("a rollback needs a reason: it is what the next person reads")
            .production("nothing was touched")
            .next(site.command("rollback", "--reason \"what is wrong\"")));
    }
    let wish = Wish::parse(to.unwrap_or_default());
    let view = look(site).await?;
    if view.history.open.is_none() || site.config.dry_run {
        // Bad input is told before a deploy loses its lease; what recovery settles first is not.
        let prepared = prepare(site, view, &wish).await?;
        refuse_loss(site, &prepared)?;
        if site.config.dry_run {
            let live = prepared.view.live(site);
            return Ok(answer(site, Word::Planned, live, prepared, started));
        }
    }
    let (mut prepared, live) = site
        .under_lease("rollback", true, async |token| {
            recover::under_lease(site, token).await?;
            let prepared = prepare(site, look(site).await?, &wish).await?;
            refuse_loss(site, &prepared)?;
            let mut engine = site.engine(token);
            engine.rules = Rules { baseline: prepared.baseline.clone(), ..site.rules() };
            engine.run(begin(site, &prepared)?).await?;
            let (view, live) = look_after(site, prepared.view, &prepared.plan).await;
            Ok((Prepared { view, ..prepared }, live))
        })
        .await?;
    prepared.loss.rebuildable.clear(); // It was in the plan; what matters afterwards is the rest.
    Ok(answer(site, Word::RolledBack, live, prepared, started))
}

async fn prepare(site: &Site, view: View, wish: &Wish) -> Outcome<Prepared> {
    let standing = view.plan(site, standing)?;
    let claimed = view.history.claimed_live();
    // Content that nobody published stands where the ledger's last release was.
    let live = if standing.adopted.is_empty() { standing.release } else { None };
    let Some(live) = live.or(claimed).or(standing.release) else {
        return view.plan(site, |_| Err(Obstacle::NothingLive));
    };
    if let (Wish::Previous, Some(last), true) =
        (wish, view.history.standing_rollback(), view.history.hold_of_rollback.is_some())
    {
        return Err(untouched(
            Failure::new(
                Kind::Held,
                format!(
                    "{} went back to {} already ({}: {}), and its hold stands; a second press must \
                     name its target",
                    last.by,
                    last.release,
                    moment(last.at),
                    last.reason.as_deref().unwrap_or("no reason given"),
                ),
            )
            .next(format!(
                "{}\n       targets: {}",
                site.command("rollback", "--to TARGET --reason TEXT"),
                targets(&view, live)
            )),
            &view,
            site,
        ));
    }
    let asked = past::asked(site, &view, wish, standing.release).await?;
    let (plan, since) = if let Some(asked) = &asked {
        let plan = view.plan(site, |ground| planner::recall(ground, None, &asked.past))?;
        let since = asked.since(&plan);
        (plan, Some(since))
    } else {
        let target = resolve(wish, &view.history, live).map_err(|no_target| {
            let failure = Failure::usage(no_target.to_string());
            untouched(failure.next(format!("targets: {}", targets(&view, live))), &view, site)
        })?;
        match past::dropped(site, &view, target).await? {
            Some((slots, since)) => {
                (view.plan(site, |ground| planner::restore(ground, target, &slots))?, Some(since))
            }
            None => (view.plan(site, |ground| planner::rollback(ground, target))?, None),
        }
    };
    let (mut baseline, mut loss) = (None, Loss::default());
    if since.is_some() {
        baseline = Some(site.warehouse.baseline(Next::Other).await?);
    } else if !standing.damaged {
        let look = async {
            match plan.displaces {
                Some(_) => Ok(Some(site.warehouse.baseline(Next::Other).await?)),
                None => Outcome::Ok(None),
            }
        };
        let (before, leaving) = tokio::join!(look, lost(site, &view, &plan));
        (baseline, loss) = (before?, leaving?);
    }
    Ok(Prepared { view, plan, loss, baseline, since })
}

/// The releases whose content is kept, newest first.
fn targets(view: &View, live: ReleaseId) -> String {
    let kept: Vec<String> = view
        .observation
        .slots
        .values()
        .filter_map(crate::domain::slot::Content::release)
        .filter(|release| *release != live)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .rev()
        .map(|release| release.to_string())
        .collect();
    let marks = view.history.marks.iter().rev().map(|mark| mark.name.clone());
    let all: Vec<String> = kept.into_iter().chain(marks).collect();
    if all.is_empty() { "none is kept".to_owned() } else { all.join(", ") }
}

async fn lost(site: &Site, view: &View, plan: &Plan) -> Outcome<Loss> {
    let Some(Step::Swap { pairs, .. }) = plan.swap() else {
        return Ok(Loss::default());
    };
    let (live, target) = site.warehouse.inventories(pairs, COMPARED_ROWS).await?;
    let writes: Vec<_> =
        view.history.releases.values().flat_map(|release| release.writes.iter().cloned()).collect();
    Ok(loss(&live, &target, &writes))
}

fn refuse_loss(site: &Site, prepared: &Prepared) -> Outcome<()> {
    if site.config.allow_loss {
        return Ok(());
    }
    if let Some(since) = &prepared.since {
        return Err(past::refused(site, &prepared.view, &prepared.plan, since));
    }
    if !prepared.loss.is_irreplaceable() {
        return Ok(());
    }
    let list = |what: &str, changes: &[Change]| {
        changes.iter().fold(String::new(), |text, change| {
            let rows = match (change.rows_before, change.rows_after) {
                (Some(before), Some(after)) if before == after => {
                    format!("{after} rows, not all with the values they have now")
                }
                (Some(before), Some(after)) => format!("{before} rows now, {after} after"),
                (before, _) => format!("{} rows now, none after", before.unwrap_or_default()),
            };
            format!("{text}\n  {} ({what}): {rows}", change.relation)
        })
    };
    let failure = Failure::stopped(format!(
        "going back to {} takes rows out of production that dbt cannot rebuild:{}{}",
        prepared.plan.release,
        list("snapshot versions", &prepared.loss.snapshot_versions),
        list("not written by dbt", &prepared.loss.not_written_by_dbt),
    ));
    let kept =
        prepared.plan.displaces.map_or(String::new(), |old| format!(" (they stay in {old})"));
    let to = format!("--to {} --reason TEXT --allow-loss", prepared.plan.release);
    Err(untouched(
        failure.next(format!("accept that{kept} with: {}", site.command("rollback", &to))),
        &prepared.view,
        site,
    ))
}

fn begin(site: &Site, prepared: &Prepared) -> Outcome<Began> {
    Ok(Began {
        plan: prepared.plan.clone(),
        commit: None,
        dirty: false,
        fingerprint: None,
        reason: site.config.reason.clone(),
        hold: Some(site.config.hold),
        adopted: prepared.view.plan(site, standing)?.adopted,
        writes: Vec::new(),
    })
}

fn answer(
    site: &Site,
    word: Word,
    live: Option<Shown>,
    prepared: Prepared,
    started: Instant,
) -> Answer {
    let Prepared { view, plan, loss, since: prepared_since, .. } = prepared;
    let undo = plan
        .displaces
        .filter(|_| word == Word::RolledBack)
        .map(|old| site.command("rollback", &format!("--to {old} --reason TEXT")));
    let mut notes = Vec::new();
    if let Some(since) = prepared_since {
        notes.push(since.note);
    }
    if word == Word::Planned && view.history.open.is_some() {
        notes.push("an interrupted run is recovered first; what it left may move".to_owned());
    }
    if matches!(plan.swap(), Some(Step::Swap { damaged: true, .. })) {
        notes.push("what was live could not be read; it is put aside as it was".to_owned());
    }
    let displaced = plan.displaces.map(|release| Shown::of(&view.history, release));
    Answer::Changed(Box::new(Changed {
        previous: displaced,
        plan: Some(plan),
        loss: Some(loss),
        notes,
        undo,
        seconds: started.elapsed().as_secs_f64(),
        ..Changed::new(word, live, &view.history)
    }))
}
