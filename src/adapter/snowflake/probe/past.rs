//! Time Travel.
//!
//! May import its siblings.

use super::fact::Level;
use super::lab::Lab;
use super::obstacle::{Obstacle, Step};

/// The account may keep nothing by default.
const KEEP: &str = " DATA_RETENTION_TIME_IN_DAYS = 1";

pub(super) async fn after_swap(lab: &Lab<'_>, level: Level) -> Step<()> {
    let before = lab.moment().await?;
    let (a, b) = (lab.site(level)?, lab.site(level)?);
    lab.create(false, KEEP, &a).await?;
    lab.create(false, KEEP, &b).await?;
    lab.table(&a, 1).await?;
    lab.table(&b, 2).await?;
    let then = lab.moment().await?;
    lab.run(&a.swapping(&b)).await?;
    lab.pause().await?;

    let clone = lab.site(level)?;
    match lab.attempt_to_make(&clone, &a.then(&clone, &then)).await? {
        Ok(_) => {
            lab.saw("past-milliseconds", "accepted");
            let seen = match lab.value(&clone.at("T")).await?.as_str() {
                "2" => "the object's",
                "1" => "the name's",
                other => return Err(Obstacle::new(format!("the table has {other}"))),
            };
            lab.saw("past-after-swap", seen);
        }
        // Both were there then, so it is not the time that is wrong.
        Err(refusal) if refusal.code() == Some("000707") => {
            lab.saw("past-milliseconds", "accepted");
            lab.noticed("past-after-swap", "nobody's", Some(refusal.message().to_owned()));
        }
        Err(refusal) => {
            lab.noticed("past-milliseconds", "refused", Some(refusal.message().to_owned()));
        }
    }

    let clone = lab.site(level)?;
    // Here a missing object is an answer.
    match lab.make(clone.made(), &a.then(&clone, &before)).await {
        Ok(_) => lab.saw("past-before-creation", "cloned"),
        Err(obstacle) => match obstacle.code().map(str::to_owned) {
            None => return Err(obstacle),
            Some(code) => {
                let note = Some(obstacle.message().to_owned());
                lab.noticed("past-before-creation", code, note);
            }
        },
    }
    Ok(())
}

pub(super) async fn view(lab: &Lab<'_>, level: Level) -> Step<()> {
    let a = lab.site(level)?;
    lab.create(false, KEEP, &a).await?;
    lab.run(&format!("CREATE VIEW {} AS SELECT 1 AS V", a.at("W"))).await?;
    let then = lab.moment().await?;
    lab.run(&format!("CREATE OR REPLACE VIEW {} AS SELECT 2 AS V", a.at("W"))).await?;
    let clone = lab.site(level)?;
    lab.make(clone.made(), &a.then(&clone, &then)).await?;
    let sql = format!("SELECT V FROM {}", clone.at("W"));
    let seen = match lab.run(&sql).await {
        Ok(rows) => {
            match rows.rows.first().and_then(|row| row.first().cloned().flatten()).as_deref() {
                Some("1") => "that of then",
                Some("2") => "that of now",
                _ => "another",
            }
        }
        Err(obstacle) if obstacle.code().is_some() => "none",
        Err(obstacle) => return Err(obstacle),
    };
    lab.saw("past-view", seen);
    Ok(())
}
