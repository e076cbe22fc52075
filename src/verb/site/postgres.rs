//! A site on PostgreSQL.

use crate::adapter::dbt::jinja::Env;
use crate::adapter::dbt::locate::Located;
use crate::adapter::postgres::{Postgres, SchemaLedger, Settings};
use crate::failure::Outcome;
use crate::ports::{Ledger, Warehouse};

/// The environment that a target names, and its ledger. Connects to nothing.
pub fn open(located: &Located, env: &Env) -> Outcome<(Box<dyn Warehouse>, Box<dyn Ledger>)> {
    let settings = Settings::read(&|key| located.text(key), &|name| env(name))?;
    let environment = settings.schema.clone();
    let warehouse = Postgres::open(settings)?;
    let ledger = SchemaLedger::open(warehouse.connector().clone(), environment);
    Ok((Box::new(warehouse), Box::new(ledger)))
}
