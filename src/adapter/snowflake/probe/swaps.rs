//! What follows a container in a swap.
//!
//! May import its siblings.

use std::collections::BTreeMap;

use super::clones::other_retention;
use super::fact::Level;
use super::lab::Lab;
use super::obstacle::{Obstacle, Step};
use super::site::{Site, column, went};
use crate::adapter::snowflake::session::literal;

const PARAMETER: &str = "MAX_DATA_EXTENSION_TIME_IN_DAYS";

type Row = BTreeMap<String, String>;

fn cell<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).map(String::as_str).unwrap_or_default()
}

/// Where a cell of A's row is after the swap.
fn moved(name: &str, before: &Row, (a, b): (&Row, &Row)) -> &'static str {
    went(cell(a, name) == cell(before, name), cell(b, name) == cell(before, name))
}

pub(super) async fn swap(lab: &Lab<'_>, level: Level) -> Step<()> {
    let managed = if level == Level::Schema { " WITH MANAGED ACCESS" } else { "" };
    let days = other_retention(lab);
    let a = lab.site(level)?;
    let properties = format!("{managed} DATA_RETENTION_TIME_IN_DAYS = {days} COMMENT = 'probe a'");
    lab.create(false, &properties, &a).await?;
    let b = lab.site(level)?;
    lab.create(false, " COMMENT = 'probe b'", &b).await?;
    lab.table(&a, 1).await?;
    lab.table(&b, 2).await?;
    let set = lab.attempt(&a.altering(&format!("SET {PARAMETER} = 7"))).await;
    let before = lab.shown(&a).await?;
    lab.run(&a.swapping(&b)).await?;
    let after = (&lab.shown(&a).await?, &lab.shown(&b).await?);
    let (at_a, at_b) = (lab.value(&a.at("T")).await?, lab.value(&b.at("T")).await?);
    lab.saw("swap-tables", went(at_a == "1", at_b == "1"));
    lab.saw("swap-comment", moved("comment", &before, after));
    lab.saw("swap-retention", moved("retention_time", &before, after));
    lab.saw("swap-created-on", moved("created_on", &before, after));
    if level == Level::Schema {
        let is = |row| cell(row, "options").contains("MANAGED ACCESS");
        lab.saw("swap-managed-access", went(is(after.0), is(after.1)));
    }
    match set {
        Ok(Ok(_)) => {
            let (at_a, at_b) = (own_parameter(lab, &a).await?, own_parameter(lab, &b).await?);
            lab.saw("swap-parameters", went(at_a, at_b));
        }
        Ok(Err(obstacle)) | Err(obstacle) => lab.prevented("swap-parameters", &obstacle),
    }
    let before = after.1.clone();
    let renamed = lab.site(level)?;
    lab.make(renamed.made(), &b.altering(&format!("RENAME TO {}", renamed.path))).await?;
    let now = lab.shown(&renamed).await?;
    let kept = cell(&now, "created_on") == cell(&before, "created_on");
    lab.saw("rename-created-on", if kept { "kept" } else { "new" });
    Ok(())
}

/// Whether the container itself has the parameter.
async fn own_parameter(lab: &Lab<'_>, site: &Site) -> Step<bool> {
    let sql = format!("SHOW PARAMETERS LIKE '{PARAMETER}' IN {} {}", site.kind, site.path);
    let rows = lab.run(&sql).await?;
    let own = column(&rows, "level").into_iter().flatten().any(|level| level == site.kind);
    Ok(own && column(&rows, "value").into_iter().flatten().any(|value| value == "7"))
}

pub(super) async fn owner(lab: &Lab<'_>, level: Level) -> Step<()> {
    let other = lab.subordinate().await?;
    let (a, b) = (lab.filled(level, 1).await?, lab.filled(level, 2).await?);
    let give = format!("GRANT OWNERSHIP ON {} {} TO ROLE {}", a.kind, a.path, other.quoted());
    lab.run(&format!("{give} COPY CURRENT GRANTS")).await?;
    lab.run(&a.swapping(&b)).await?;
    let after = (&lab.shown(&a).await?, &lab.shown(&b).await?);
    let is = |row| cell(row, "owner") == other.as_str();
    lab.saw("swap-owner", went(is(after.0), is(after.1)));
    Ok(())
}

pub(super) async fn across(lab: &Lab<'_>, level: Level) -> Step<()> {
    let (a, b) = (lab.filled(level, 1).await?, lab.filled(level, 2).await?);
    let sql = format!("ALTER SCHEMA {} SWAP WITH {}", a.inside, b.inside);
    match lab.attempt(&sql).await? {
        Ok(_) => lab.saw("swap-schemas-across", "allowed"),
        Err(refusal) => {
            let note = Some(refusal.message().to_owned());
            lab.noticed("swap-schemas-across", "refused", note);
        }
    }
    Ok(())
}

pub(super) async fn tags(lab: &Lab<'_>, level: Level) -> Step<()> {
    // Outside of what is cloned: a tag inside would be cloned itself.
    let home = lab.site(Level::Schema)?;
    lab.create(false, "", &home).await?;
    let tag = home.at("PROBE");
    lab.run(&format!("CREATE TAG {tag}")).await?;
    let (a, b) = (lab.site(level)?, lab.site(level)?);
    lab.create(false, "", &a).await?;
    lab.run(&a.altering(&format!("SET TAG {tag} = 'probe'"))).await?;
    let clone = lab.clone_of(&a).await?;
    let on_clone = tagged(lab, &tag, &clone).await?;
    lab.saw("clone-tags", if on_clone { "kept" } else { "lost" });
    lab.create(false, "", &b).await?;
    lab.run(&a.swapping(&b)).await?;
    let after = (tagged(lab, &tag, &a).await?, tagged(lab, &tag, &b).await?);
    lab.saw("swap-tags", went(after.0, after.1));
    Ok(())
}

async fn tagged(lab: &Lab<'_>, tag: &str, site: &Site) -> Step<bool> {
    let (tag, name) = (literal(tag), literal(&site.path));
    let sql = format!("SELECT SYSTEM$GET_TAG({tag}, {name}, '{}')", site.kind);
    Ok(lab.cell(&sql).await?.as_deref() == Some("probe"))
}

/// A block as the adapter writes it: the second swap fails, the first is taken back.
pub(super) async fn block(lab: &Lab<'_>, level: Level) -> Step<()> {
    let (a, b) = (lab.filled(level, 1).await?, lab.filled(level, 2).await?);
    let nowhere = lab.site(level)?;
    let (there, back) = (a.swapping(&b), a.swapping(&b));
    let fails = a.swapping(&nowhere);
    let sql = format!(
        "EXECUTE IMMEDIATE $$\nDECLARE\n  done INTEGER DEFAULT 0;\nBEGIN\n  {there};\n  done := 1;\n  \
         {fails};\nEXCEPTION\n  WHEN OTHER THEN\n    IF (done = 1) THEN\n      {back};\n    \
         END IF;\n    RAISE;\nEND;\n$$"
    );
    // That something is missing is the point here, so that a refusal is never an obstacle.
    match lab.run(&sql).await {
        Ok(_) => lab.saw("block-raise", "swallowed"),
        Err(obstacle) if obstacle.code().is_some() => {
            lab.noticed("block-raise", "passed on", Some(obstacle.message().to_owned()));
        }
        Err(obstacle) => return Err(obstacle),
    }
    let seen = match lab.value(&a.at("T")).await?.as_str() {
        "1" => "runs",
        "2" => "does not run",
        other => return Err(Obstacle::new(format!("the table has {other}"))),
    };
    lab.saw("block-compensation", seen);
    Ok(())
}
