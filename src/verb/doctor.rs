//! `doctor`: whether a deploy can work here, found out without touching anything.

use super::site::Site;
use super::{View, look, refuse_unsettled};
use crate::domain::planner::standing;
use crate::engine::held;
use crate::failure::{Failure, Outcome};
use crate::report::{Answer, Checked};

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
