//! Containers of a Snowflake account as a site's warehouse.

use std::collections::BTreeSet;

use super::{Opened, Opening};
use crate::adapter::snowflake::{self, Kind, Policy, Settings, profile, session::Limits};
use crate::config::Allow;
use crate::failure::{Failure, Outcome};

pub(super) async fn open(opening: &Opening<'_>) -> Outcome<Opened> {
    let Opening { config, project, run, .. } = opening;
    let located = project.located();
    let connection = profile::Settings::read(&|key| located.text(key))?;
    let settings = Settings {
        run: (*run).clone(),
        isolation: config.isolation,
        allowed: config.allow.relations.clone(),
        policy: policy(&config.allow)?,
    };
    let (warehouse, ledger) = snowflake::open(snowflake::Opening {
        connection,
        limits: Limits::default(),
        settings,
        quotes: &|what| located.quotes(what),
    })
    .await?;
    Ok((Box::new(warehouse), Box::new(ledger)))
}

fn policy(allow: &Allow) -> Outcome<Policy> {
    let kind = |name: &String| {
        name.parse::<Kind>().map_err(|_| {
            let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            Failure::usage(format!("`allow.objects` has `{name}`; allowed are {}", all.join(", ")))
        })
    };
    let allowed_kinds: BTreeSet<Kind> = allow.objects.iter().map(kind).collect::<Outcome<_>>()?;
    Ok(Policy {
        leave_shares: allowed_kinds.contains(&Kind::Shares),
        allow_unseen_grants: allow.unseen_grants,
        allowed_kinds,
        ..Policy::default()
    })
}
