//! Containers of a Snowflake account as a site's warehouse.

use super::{Opened, Opening};
use crate::adapter::snowflake::{self, Policy, Settings, profile, session::Limits};
use crate::failure::Outcome;

pub(super) async fn open(opening: &Opening<'_>) -> Outcome<Opened> {
    let Opening { config, project, run, .. } = opening;
    let located = project.located();
    let connection = profile::Settings::read(&|key| located.text(key))?;
    let settings = Settings {
        run: (*run).clone(),
        isolation: config.isolation,
        allowed: config.allow.relations.clone(),
        policy: policy(opening),
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

fn policy(_opening: &Opening<'_>) -> Policy {
    Policy::default()
}
