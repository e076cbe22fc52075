//! `doctor`: whether a deploy can work here, found out without touching anything.

use super::site::Site;
use super::{View, look, refuse_unsettled};
use crate::domain::planner::standing;
use crate::engine::held;
use crate::failure::{Failure, Kind, Outcome};
use crate::report::{Answer, Checked, Word};

/// Where the probe's findings are saved, in the current folder.
const PROBED: &str = "switchback-probe.json";

/// Tries on the warehouse itself whether it behaves as assumed, in scratch containers of its own.
pub async fn probe(site: &Site) -> Outcome<Answer> {
    let probing = site.warehouse.probe(site.observer.as_ref(), site.halt.subscribe());
    let found = probing.await?.ok_or_else(|| {
        Failure::usage(format!(
            "`probe` tries what is not documented, and nothing is left open on {}",
            site.warehouse.kind()
        ))
        .next(site.command("doctor", ""))
    })?;
    let saved = std::path::absolute(PROBED).unwrap_or_else(|_| PROBED.into());
    std::fs::write(&saved, &found.json).map_err(|error| {
        let what =
            format!("{} cannot be written; the probe found:\n{}", saved.display(), found.text);
        Failure::new(Kind::Unexpected, what).because(error.into())
    })?;
    let told =
        format!("{}\nsaved, without names of your account, as {}\n", found.text, saved.display());
    if found.differ == 0 {
        return Ok(Answer::Said(Word::Probed, told));
    }
    Err(Failure::stopped(format!("{} facts are not as Switchback assumes:\n{told}", found.differ))
        .next("attach the file to a report before you deploy"))
}

/// Runs the verb.
pub async fn run(site: &Site) -> Outcome<Answer> {
    let mut checks =
        vec![check("project", Ok(site.project.clone())), check("dbt", site.dbt.version().await)];
    let names: Vec<String> = site.warehouse.live().iter().map(ToString::to_string).collect();
    checks
        .push(check("production", Ok(format!("{} ({})", names.join(", "), site.warehouse.kind()))));
    checks.push(check(
        "swap",
        site.warehouse.preflight().await.map(|()| "can be done atomically here".to_owned()),
    ));
    // A project that cannot be parsed is told by the deploy; here it only leaves things open.
    let production = if site.warehouse.needs_project() {
        site.dbt.production(site.halt.subscribe()).await.ok()
    } else {
        None
    };
    for (what, found) in site.warehouse.examine(production.as_ref()).await {
        checks.push(check(&what, found));
    }
    match look(site).await {
        Ok(view) => checks.extend(about(site, &view).await),
        Err(failure) => checks.push(check("ledger", Err(failure))),
    }
    Ok(Answer::Doctor(checks))
}

async fn about(site: &Site, view: &View) -> Vec<Checked> {
    let live = view.plan(site, standing).map(|standing| match standing.release {
        Some(release) if standing.adopted.is_empty() => format!("{release}, by its stamp"),
        Some(release) => {
            format!("content that Switchback did not make; the next deploy adopts it as {release}")
        }
        None => "nothing yet".to_owned(),
    });
    let settled = refuse_unsettled(site, &view.history).await;
    let hold = match held(&view.history, None) {
        Some(failure) => Err(failure),
        None => Ok(view.history.hold().map_or_else(
            || "no".to_owned(),
            |hold| format!("only the code that was rolled back ({})", hold.reason),
        )),
    };
    vec![
        check("ledger", Ok(site.ledger.place())),
        check("live", live),
        check("settled", settled.map(|()| "nothing is unfinished or under way".to_owned())),
        check("held", hold),
    ]
}

fn check(what: &str, found: Outcome<String>) -> Checked {
    let (found, next) = match found {
        Ok(found) => (Ok(found), None),
        Err(failure) => {
            let Failure { ref next, .. } = failure;
            (Err(failure.explanation()), next.clone())
        }
    };
    Checked { what: what.to_owned(), found, next }
}
