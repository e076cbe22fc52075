//! A DuckDB file as a site's warehouse.

use std::path::PathBuf;
use std::rc::Rc;

use super::{Opened, Opening, QUERY_TIMEOUT, SystemClock};
use crate::adapter::duckdb::{DuckDb, FileLedger, Settings};
use crate::config::file::Isolation;
use crate::failure::{Failure, Outcome};

pub(super) fn open(opening: &Opening<'_>) -> Outcome<Opened> {
    let Opening { config, project, actor, cwd, env, .. } = opening;
    if config.isolation != Isolation::Auto {
        return Err(Failure::usage(
            "`isolation` has a meaning on Snowflake only; on duckdb the whole file is swapped",
        )
        .next("remove `isolation` from switchback.yml"));
    }
    let warehouse = DuckDb::open(Settings {
        path: project.located().text("path")?.unwrap_or_default(),
        cwd: (*cwd).clone(),
        home: env("HOME").map(PathBuf::from),
        python: project.python()?,
        allow_wal: config.allow.wal,
        query_timeout: QUERY_TIMEOUT,
    })?;
    let live = &warehouse.live_file().path;
    let ledger = FileLedger::open(live, actor.host.clone(), Rc::new(SystemClock));
    Ok((Box::new(warehouse), Box::new(ledger)))
}
