//! What a clone keeps, leaves out and changes.
//!
//! May import its siblings.

use super::fact::Level;
use super::lab::Lab;
use super::obstacle::{Obstacle, Step};
use super::site::{Site, column};
use crate::adapter::snowflake::grants::{Grantee, Grants, Shown};
use crate::ports::Rows;

fn kept(is: bool) -> &'static str {
    if is { "kept" } else { "lost" }
}

/// A retention that is not the account's own.
pub(super) fn other_retention(lab: &Lab<'_>) -> u32 {
    u32::from(lab.retention.get() == 0)
}

pub(super) async fn plain(lab: &Lab<'_>, level: Level) -> Step<()> {
    let days = other_retention(lab);
    let managed = if level == Level::Schema { " WITH MANAGED ACCESS" } else { "" };
    let properties =
        format!("{managed} DATA_RETENTION_TIME_IN_DAYS = {days} COMMENT = 'switchback probe'");
    let source = lab.site(level)?;
    lab.create(false, &properties, &source).await?;
    if level == Level::Database {
        lab.run(&format!("CREATE SCHEMA {}.M WITH MANAGED ACCESS", source.path)).await?;
    }
    let clone = lab.clone_of(&source).await?;
    let shown = lab.shown(&clone).await?;
    let cell = |name: &str| shown.get(name).map(String::as_str).unwrap_or_default();
    lab.saw("clone-comment", kept(cell("comment") == "switchback probe"));
    lab.saw("clone-retention", kept(cell("retention_time") == days.to_string()));
    if level == Level::Schema {
        lab.saw("clone-managed-access", kept(cell("options").contains("MANAGED ACCESS")));
        return Ok(());
    }
    let sql = format!("SHOW SCHEMAS IN DATABASE {} STARTS WITH 'M'", clone.path);
    let options = column(&lab.run(&sql).await?, "options");
    let is = options.iter().flatten().any(|text| text.contains("MANAGED ACCESS"));
    lab.saw("clone-inner-managed-access", kept(is));
    Ok(())
}

pub(super) async fn owner(lab: &Lab<'_>, level: Level) -> Step<()> {
    let other = lab.subordinate().await?;
    let source = lab.filled(level, 1).await?;
    let table = source.at("T");
    let give = format!("GRANT OWNERSHIP ON TABLE {table} TO ROLE {}", other.quoted());
    lab.run(&format!("{give} COPY CURRENT GRANTS")).await?;
    let clone = lab.clone_of(&source).await?;
    let rows = lab.run(&format!("SHOW TABLES IN SCHEMA {}", clone.inside)).await?;
    let owner = column(&rows, "owner").into_iter().flatten().next();
    let owner = owner.ok_or_else(|| Obstacle::new("the table is not in the clone"))?;
    let role = lab.role.borrow().as_ref().map(|role| role.as_str().to_owned());
    let seen = if owner == other.as_str() {
        "as before"
    } else if Some(owner) == role {
        "who cloned"
    } else {
        "somebody else"
    };
    lab.saw("clone-owner", seen);
    Ok(())
}

/// The role that owns the hidden table is dropped afterwards, which gives the table to our own
/// role (`/sql-reference/sql/drop-role`): then it can be seen whether the clone has it.
pub(super) async fn unseen(lab: &Lab<'_>, level: Level) -> Step<()> {
    let source = lab.filled(level, 1).await?;
    let hidden = source.at("HIDDEN");
    lab.run(&format!("CREATE TABLE {hidden} AS SELECT 1 AS V")).await?;
    let other = lab.new_role("HIDDEN").await?;
    let give = format!("GRANT OWNERSHIP ON TABLE {hidden} TO ROLE {}", other.quoted());
    lab.run(&format!("{give} REVOKE CURRENT GRANTS")).await?;
    let clone = lab.site(level)?;
    let visible = lab.run(&listing(&source)).await?;
    let seen_before = column(&visible, "name").iter().flatten().any(|name| name == "HIDDEN");
    let cloned = lab.attempt_to_make(&clone, &source.cloning(&clone, "")).await?;
    lab.run(&format!("DROP ROLE {}", other.quoted())).await?;
    if let Err(refusal) = cloned {
        lab.noticed("clone-unseen", "the clone is refused", Some(refusal.message().to_owned()));
        return Ok(());
    }
    let rows = lab.run(&listing(&clone)).await?;
    let there = column(&rows, "name").iter().flatten().any(|name| name == "HIDDEN");
    let note = seen_before.then(|| "this role sees the table even without a privilege".to_owned());
    lab.noticed("clone-unseen", if there { "cloned" } else { "left out" }, note);
    Ok(())
}

fn listing(site: &Site) -> String {
    format!("SHOW TABLES IN SCHEMA {}", site.inside)
}

pub(super) async fn hybrid(lab: &Lab<'_>, level: Level) -> Step<()> {
    let source = lab.filled(level, 1).await?;
    lab.run(&format!("CREATE HYBRID TABLE {} (V INTEGER PRIMARY KEY)", source.at("H"))).await?;
    let clone = lab.site(level)?;
    if let Err(refusal) = lab.attempt_to_make(&clone, &source.cloning(&clone, "")).await? {
        lab.noticed("clone-hybrid", "the clone is refused", Some(refusal.message().to_owned()));
        return Ok(());
    }
    let names = column(&lab.run(&listing(&clone)).await?, "name");
    let there = names.iter().flatten().any(|name| name == "H");
    lab.saw("clone-hybrid", if there { "cloned" } else { "left out" });
    Ok(())
}

pub(super) async fn database_role(lab: &Lab<'_>, level: Level) -> Step<()> {
    let source = lab.filled(level, 1).await?;
    let role = format!("{}.R", source.path);
    lab.all(&[
        format!("CREATE DATABASE ROLE {role}"),
        format!("GRANT USAGE ON SCHEMA {} TO DATABASE ROLE {role}", source.inside),
        format!("GRANT SELECT ON TABLE {} TO DATABASE ROLE {role}", source.at("T")),
    ])
    .await?;
    let clone = lab.clone_of(&source).await?;
    let roles = lab.run(&format!("SHOW DATABASE ROLES IN DATABASE {}", clone.path)).await?;
    if !column(&roles, "name").iter().flatten().any(|name| name == "R") {
        lab.saw("clone-database-role", "left out");
        return Ok(());
    }
    let rows = lab.run(&format!("SHOW GRANTS ON TABLE {}", clone.at("T"))).await?;
    // The adapter's own reading: it refuses a role of another database.
    let mut grants = Grants::default();
    let read = grants.add(Shown::On, &clone.container, &rows);
    let has = grants.0.keys().any(|grant| {
        matches!(&grant.to, Grantee::DatabaseRole(name) if name.as_str() == "R")
            && grant.privilege == "SELECT"
    });
    let printed = column(&rows, "grantee_name").into_iter().flatten().collect::<Vec<_>>();
    let note = Some(format!("printed as {}", printed.join(", ")));
    match (read, has) {
        (Ok(()), true) => lab.noticed("clone-database-role", "its own", note),
        (Ok(()), false) => lab.noticed("clone-database-role", "no grant", note),
        (Err(_), _) => lab.noticed("clone-database-role", "another's", note),
    }
    Ok(())
}

async fn is_transient(lab: &Lab<'_>, site: &Site) -> Step<bool> {
    let shown = lab.shown(site).await?;
    Ok(shown.get("options").is_some_and(|options| options.contains("TRANSIENT")))
}

/// Whether a clone of something transient was refused, or what it is.
async fn became(lab: &Lab<'_>, id: &str, clone: &Site, made: Result<Rows, Obstacle>) -> Step<()> {
    if let Err(refusal) = made {
        lab.noticed(id, "refused", Some(refusal.message().to_owned()));
        return Ok(());
    }
    let transient = is_transient(lab, clone).await?;
    lab.saw(id, if transient { "transient" } else { "permanent" });
    Ok(())
}

pub(super) async fn transient(lab: &Lab<'_>, level: Level) -> Step<()> {
    let source = lab.site(level)?;
    lab.create(true, "", &source).await?;
    let good = lab.site(level)?;
    let sql = source.cloning(&good, "").replacen("CREATE", "CREATE TRANSIENT", 1);
    let made = lab.attempt_to_make(&good, &sql).await?;
    became(lab, "clone-transient", &good, made).await?;
    let plain = lab.site(level)?;
    let made = lab.attempt_to_make(&plain, &source.cloning(&plain, "")).await?;
    became(lab, "clone-transient-plainly", &plain, made).await?;
    let permanent = lab.site(level)?;
    lab.create(false, "", &permanent).await?;
    if is_transient(lab, &permanent).await? {
        return Err(Obstacle::new("whatever is created here is transient"));
    }
    match lab.attempt(&source.swapping(&permanent)).await? {
        Ok(_) => lab.saw("swap-transient-permanent", "allowed"),
        Err(refusal) => {
            let note = Some(refusal.message().to_owned());
            lab.noticed("swap-transient-permanent", "refused", note);
        }
    }
    Ok(())
}
