//! Schemas of a PostgreSQL database as a site's warehouse.

use std::rc::Rc;

use super::{Opened, Opening};
use crate::adapter::postgres::{Postgres, SchemaLedger, Settings};
use crate::config::file::Isolation;
use crate::failure::{Failure, Outcome};

pub(super) fn open(opening: &Opening<'_>) -> Outcome<Opened> {
    let Opening { config, project, env, observer, .. } = opening;
    if !matches!(config.isolation, Isolation::Auto | Isolation::Schema) {
        return Err(Failure::usage(
            "`isolation: database` has a meaning on Snowflake only; on postgres the schemas that \
             dbt writes are swapped",
        )
        .next("remove `isolation` from switchback.yml"));
    }
    let located = project.located();
    let settings = Settings::read(&|key| located.text(key), &|name| env(name))?;
    let environment = settings.schema.clone();
    let warehouse = Postgres::open(settings)?.watched(Rc::clone(observer));
    let ledger = SchemaLedger::open(warehouse.connector().clone(), environment);
    Ok((Box::new(warehouse), Box::new(ledger)))
}
