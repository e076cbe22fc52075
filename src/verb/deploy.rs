//! `deploy` and `build`: look, plan, survey the project, take the lease, run the plan.

use std::collections::BTreeSet;
use std::time::Instant;

use super::site::Site;
use super::{View, look, look_after, look_leased, look_settled};
use crate::domain::history::ReleaseState;
use crate::domain::journal::Began;
use crate::domain::name::ReleaseId;
use crate::domain::plan::{Pair, Plan, Rung, Verb};
use crate::domain::planner::{self, DeployWish, standing};
use crate::domain::project::{Survey, Written};
use crate::engine::{Rules, held};
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{Event, Redirect};
use crate::report::{Answer, Changed, Shown, Word};

/// Runs the verb (`Verb::Deploy` or `Verb::Build`).
pub async fn run(site: &Site, verb: Verb) -> Outcome<Answer> {
    let started = Instant::now();
    site.check_commands()?;
    let view = look_settled(site).await?;
    if let Some(failure) = held(&view.history, None) {
        return Err(untouched(failure, &view, site));
    }
    site.warehouse.preflight().await?;
    let release = view.plan(site, planner::upcoming)?;
    let prepared = prepare(site, release).await.map_err(|one| untouched(one, &view, site))?;
    let view = look_again(site, view).await?;
    let plan = view.plan(site, |ground| planner::deploy(ground, &wish(site, verb, &prepared)))?;
    let survey = &prepared.survey;
    if let Some(failure) = held(&view.history, Some(&survey.fingerprint)) {
        return Err(untouched(failure, &view, site));
    }
    if site.config.dry_run {
        return Ok(Answer::Changed(Box::new(Changed {
            plan: Some(plan),
            ..Changed::new(Word::Planned, view.live(site), &view.history)
        })));
    }
    let began = begin(site, &view, plan, survey)?;
    let tale = site
        .under_lease(verb.to_string().as_str(), false, async |token| {
            agree(site, &began.plan, &wish(site, verb, &prepared)).await?;
            let mut engine = site.engine(token);
            engine.rules = Rules {
                fingerprint: Some(survey.fingerprint.clone()),
                redirect: Some(prepared.redirect.clone()),
                ..site.rules()
            };
            engine.run(began.clone()).await?;
            Ok(std::mem::take(&mut engine.tale))
        })
        .await?;
    let (view, live) = look_after(site, view, &began.plan).await;
    let waits = verb == Verb::Build;
    let promote = || format!("publish it with: {}", site.command("promote", ""));
    let undo = if waits { None } else { take_back(site, &view, &began.plan) };
    let drift = tale.drift.iter().map(|line| format!("accepted drift: {line}"));
    let notes = tale.notes.iter().cloned().chain(drift).collect();
    let word = if waits { Word::Built } else { Word::Published };
    Ok(Answer::Changed(Box::new(Changed {
        previous: previous(&view, &began.plan),
        plan: Some(began.plan),
        changes: tale.changes,
        findings: tale.findings,
        dbt: tale.dbt,
        notes,
        undo,
        next: waits.then(promote),
        seconds: started.elapsed().as_secs_f64(),
        ..Changed::new(word, live, &view.history)
    })))
}

fn wish(site: &Site, verb: Verb, prepared: &Prepared) -> DeployWish {
    let config = &site.config;
    DeployWish {
        verb,
        pairs: Some(prepared.pairs.clone()),
        commands: site.commands.clone(),
        checks: site.checks.clone(),
        moved_by: prepared.rung,
        keep: config.keep_releases,
        allow_vanished: config.allow_drift,
    }
}

/// A project that is known to write into the build and nowhere else.
struct Prepared {
    survey: Survey,
    rung: Rung,
    redirect: Redirect,
    pairs: Vec<Pair>,
}

/// Parses the project both ways, on the first rung of the ladder that moves every node, and proves
/// that the build contains everything dbt writes.
async fn prepare(site: &Site, release: ReleaseId) -> Outcome<Prepared> {
    let warehouse = site.warehouse.as_ref();
    site.observer.event(Event::Phase("reading the dbt project".to_owned()));
    let ladder = if let Some(ladder) = warehouse.ladder(release, None) {
        ladder
    } else {
        let production = site.dbt.production(site.halt.subscribe()).await?;
        warehouse.settle(&production).await?;
        warehouse.ladder(release, Some(&production)).unwrap_or_default()
    };
    let redirected = !site.config.redirect_env.is_empty() || !site.config.redirect_vars.is_empty();
    let mut found = (0, Vec::new());
    for (rung, redirect) in ladder {
        let survey = site.dbt.survey(&redirect, site.halt.subscribe()).await?;
        match warehouse.contain(&survey, release, &site.config.allow.external) {
            Ok(pairs) => {
                site.observer.event(Event::PhaseEnded);
                warn_of_names(site, &survey);
                let rung = if redirected { Rung::Redirect } else { rung };
                return Ok(Prepared { survey, rung, redirect, pairs });
            }
            Err(escapes) => found = (survey.build.nodes.len(), escapes),
        }
    }
    site.observer.event(Event::PhaseEnded);
    let (nodes, escapes) = found;
    let lines: Vec<String> = escapes
        .iter()
        .map(|escape| format!("  {} ({}): {}", escape.unique_id, escape.file, escape.reason))
        .collect();
    Err(Failure::stopped(format!(
        "{} of {nodes} nodes would write outside the build:\n{}",
        escapes.len(),
        lines.join("\n")
    ))
    .next("change or exclude what is named above, and run this again"))
}

fn warn_of_names(site: &Site, survey: &Survey) {
    for (id, code) in &survey.build.raw_code {
        site.observer.event(Event::Warning(format!(
            "{id} names production itself, which the build cannot redirect: {}",
            code.lines().next().unwrap_or_default().trim()
        )));
    }
}

/// Looks again where the project named slots that were not known before.
async fn look_again(site: &Site, view: View) -> Outcome<View> {
    let known = |slot| view.observation.slots.contains_key(slot);
    if site.warehouse.live().iter().all(known) {
        return Ok(view);
    }
    look(site).await
}

fn begin(site: &Site, view: &View, plan: Plan, survey: &Survey) -> Outcome<Began> {
    let adopted = view.plan(site, standing)?.adopted;
    Ok(Began {
        plan,
        commit: site.checkout.commit.clone(),
        dirty: site.checkout.dirty,
        fingerprint: Some(survey.fingerprint.clone()),
        reason: site.config.reason.clone(),
        hold: None,
        adopted,
        writes: new_writes(site, view, survey),
    })
}

/// What dbt writes and no release recorded yet: the history's releases are read together, and a
/// project of thousands of models would make every line of the ledger long. An abandoned attempt
/// does not count: its record is replaced by that of the next attempt.
fn new_writes(site: &Site, view: &View, survey: &Survey) -> Vec<Written> {
    let known: BTreeSet<&Written> = view
        .history
        .releases
        .values()
        .filter(|one| !matches!(one.state, ReleaseState::Abandoned | ReleaseState::Building))
        .flat_map(|release| &release.writes)
        .collect();
    let writes = survey.production.writes(&|node| site.warehouse.stored(node));
    writes.into_iter().filter(|one| !known.contains(one)).collect()
}

/// Under the lease, the plan that was made without it must still be the plan.
async fn agree(site: &Site, plan: &Plan, wish: &DeployWish) -> Outcome<()> {
    let view = look_leased(site).await?;
    let again = view.plan(site, |ground| planner::deploy(ground, wish))?;
    if again == *plan {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Locked,
        "another run changed this environment while this one was reading the project",
    )
    .production("production is untouched by this run")
    .next(format!("run it again: {}", site.command(&wish.verb.to_string(), ""))))
}

/// What was displaced by a plan that has run, for the report.
#[must_use]
pub fn previous(view: &View, plan: &Plan) -> Option<Shown> {
    plan.displaces
        .filter(|_| plan.swap().is_some())
        .map(|release| Shown::of(&view.history, release))
}

/// The exact command that undoes a publication.
#[must_use]
pub fn take_back(site: &Site, view: &View, plan: &Plan) -> Option<String> {
    view.history
        .previous(plan.release)
        .map(|_| site.command("rollback", "--reason \"what is wrong\""))
}

/// Adds what is live to a failure from before anything was touched.
#[must_use]
pub fn untouched(failure: Failure, view: &View, site: &Site) -> Failure {
    let live = view.live(site).map_or_else(
        || "nothing is live yet".to_owned(),
        |live| format!("{} is live", live.release),
    );
    failure.production(format!("production is untouched: {live}"))
}
