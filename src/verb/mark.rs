//! `mark`: records a restore point for production runs that Switchback does not wrap. It needs a
//! warehouse that can clone its own past.

use super::look;
use super::site::Site;
use crate::domain::journal::{Entry, Mark};
use crate::domain::target::Wish;
use crate::failure::{Failure, Outcome};
use crate::ports::Draft;
use crate::report::{Answer, Word, moment};

/// Runs the verb; refuses on warehouses without Time Travel.
pub async fn run(site: &Site, name: Option<&str>) -> Outcome<Answer> {
    if !site.warehouse.has_past() {
        return Err(Failure::usage(format!(
            "`mark` needs Time Travel, which {} does not have: what is not copied cannot come back",
            site.warehouse.kind()
        ))
        .production("nothing was touched")
        .next(format!(
            "publish through `{}`: every deploy keeps what it displaces",
            site.command("deploy", "")
        )));
    }
    let name = name.map(|name| named(site, name)).transpose()?;
    if site.warehouse.needs_project() {
        // Nothing was deployed here: what dbt writes as production says what is live.
        let production = site.dbt.production(site.halt.subscribe()).await?;
        site.warehouse.settle(&production).await?;
    }
    let view = look(site).await?;
    let now = site.warehouse.moment().await?.ok_or_else(|| {
        Failure::stopped("the warehouse did not tell the time, so nothing was marked")
    })?;
    let mut containers = std::collections::BTreeMap::new();
    for slot in site.warehouse.live() {
        let identity = view.observation.content(&slot).identity().cloned().ok_or_else(|| {
            Failure::usage(format!("there is no {slot} to mark"))
                .next("check the target in profiles.yml")
        })?;
        containers.insert(slot, identity);
    }
    let name = name.unwrap_or_else(|| now.at.format("mark-%Y%m%d-%H%M%S").to_string());
    let mark = Mark {
        name: name.clone(),
        at: now.at,
        query: now.query,
        containers,
        reason: site.config.reason.clone(),
    };
    let draft = Draft {
        operation: site.run.clone(),
        token: None,
        by: site.actor.clone(),
        entry: Entry::Marked(mark),
    };
    site.ledger.append(draft).await?;
    let back = site.command("rollback", &format!("--to {name} --reason TEXT"));
    Ok(Answer::Said(
        Word::Marked,
        format!("{name} is {}; go back to it with: {back}", moment(now.at)),
    ))
}

/// A name that `--to` reads as a name.
fn named(site: &Site, name: &str) -> Outcome<String> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let hexadecimal = name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if matches!(Wish::parse(name), Wish::Name(_)) && name.chars().all(plain) && !hexadecimal {
        return Ok(name.to_owned());
    }
    Err(Failure::usage(format!(
        "`name` is `{name}`; allowed are letters, digits, `-`, `_`, `.` and `/`, and nothing that \
         `--to` reads as a release, a commit or a time"
    ))
    .next(site.command("mark", "--name before-the-nightly-load")))
}
