//! `mark`: records a restore point for production runs that Switchback does not wrap. It needs a
//! warehouse that can clone its own past.

use super::site::Site;
use crate::failure::{Failure, Outcome};
use crate::report::Answer;

/// Runs the verb; refuses on warehouses without Time Travel.
pub fn run(site: &Site) -> Outcome<Answer> {
    Err(Failure::usage(format!(
        "`mark` needs Time Travel, which {} does not have: what is not copied cannot come back",
        site.warehouse.kind()
    ))
    .production("nothing was touched")
    .next(format!(
        "publish through `{}`: every deploy keeps what it displaces",
        site.command("deploy", "")
    )))
}
