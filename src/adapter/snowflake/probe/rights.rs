//! Grants: on containers, on objects, future, inherited.
//!
//! May import its siblings.

use super::fact::Level;
use super::lab::Lab;
use super::obstacle::Step;
use super::site::{Site, column, gives, missing, went};
use crate::adapter::snowflake::grants::{Grantee, Grants, Shown};
use crate::adapter::snowflake::ident::Ident;

fn copied(is: bool) -> &'static str {
    if is { "copied" } else { "not copied" }
}

async fn on_container(lab: &Lab<'_>, site: &Site, to: &Ident) -> Step<bool> {
    let rows = lab.run(&format!("SHOW GRANTS ON {} {}", site.kind, site.path)).await?;
    Ok(gives(&rows, "USAGE", to))
}

async fn on_table(lab: &Lab<'_>, site: &Site, to: &Ident) -> Step<bool> {
    let rows = lab.run(&format!("SHOW GRANTS ON TABLE {}", site.at("T"))).await?;
    Ok(gives(&rows, "SELECT", to))
}

pub(super) async fn plain(lab: &Lab<'_>, level: Level) -> Step<()> {
    let to = lab.reader()?.name;
    let (a, b) = (lab.filled(level, 1).await?, lab.filled(level, 2).await?);
    lab.all(&[
        format!("GRANT USAGE ON {} {} TO ROLE {}", a.kind, a.path, to.quoted()),
        format!("GRANT SELECT ON TABLE {} TO ROLE {}", a.at("T"), to.quoted()),
    ])
    .await?;
    let clone = lab.clone_of(&a).await?;
    lab.saw("clone-container-grants", copied(on_container(lab, &clone, &to).await?));
    lab.saw("clone-object-grants", copied(on_table(lab, &clone, &to).await?));
    lab.run(&a.swapping(&b)).await?;
    let after = (on_container(lab, &a, &to).await?, on_container(lab, &b, &to).await?);
    lab.saw("swap-container-grants", went(after.0, after.1));
    let after = (on_table(lab, &a, &to).await?, on_table(lab, &b, &to).await?);
    lab.saw("swap-object-grants", went(after.0, after.1));
    Ok(())
}

/// The grants that `SHOW FUTURE|INHERITED GRANTS IN` prints, read as the adapter reads them, and
/// what it cannot read.
async fn within(lab: &Lab<'_>, shown: Shown, site: &Site) -> Step<(Grants, Option<String>)> {
    let word = if shown == Shown::Future { "FUTURE" } else { "INHERITED" };
    let rows = lab.run(&format!("SHOW {word} GRANTS IN {} {}", site.kind, site.path)).await?;
    let mut grants = Grants::default();
    let wrong = grants.add(shown, &site.container, &rows).err().map(|bad| bad.0);
    let columns = ["created_on", "privilege", "grant_on", "name", "grant_to", "grantee_name"];
    let absent = if shown == Shown::Future { missing(&rows, &columns) } else { Vec::new() };
    let absent = (!absent.is_empty()).then(|| format!("no column {}", absent.join(", ")));
    Ok((grants, wrong.or(absent)))
}

fn has(grants: &Grants, to: &Ident) -> bool {
    let to = Grantee::Role(to.clone());
    grants.0.keys().any(|grant| grant.to == to && grant.privilege == "SELECT")
}

pub(super) async fn future(lab: &Lab<'_>, level: Level) -> Step<()> {
    let to = lab.reader()?.name;
    let (a, b) = (lab.filled(level, 1).await?, lab.filled(level, 2).await?);
    let give = "GRANT SELECT ON FUTURE TABLES IN";
    lab.run(&format!("{give} {} {} TO ROLE {}", a.kind, a.path, to.quoted())).await?;
    let (grants, wrong) = within(lab, Shown::Future, &a).await?;
    match wrong {
        None if has(&grants, &to) => lab.saw("show-future-grants", "all there"),
        None => lab.saw("show-future-grants", "not listed"),
        Some(wrong) => lab.noticed("show-future-grants", "cannot be read", Some(wrong)),
    }
    let clone = lab.clone_of(&a).await?;
    let in_clone = has(&within(lab, Shown::Future, &clone).await?.0, &to);
    lab.saw("clone-future-grants", copied(in_clone));
    lab.run(&a.swapping(&b)).await?;
    let (at_a, at_b) =
        (within(lab, Shown::Future, &a).await?.0, within(lab, Shown::Future, &b).await?.0);
    lab.saw("swap-future-grants", went(has(&at_a, &to), has(&at_b, &to)));
    Ok(())
}

pub(super) async fn inherited(lab: &Lab<'_>, level: Level) -> Step<()> {
    let (a, b) = (lab.filled(level, 1).await?, lab.filled(level, 2).await?);
    let show = format!("SHOW INHERITED GRANTS IN {} {}", a.kind, a.path);
    if let Err(refusal) = lab.attempt(&show).await? {
        let note = Some(refusal.message().to_owned());
        lab.noticed("show-inherited-grants", "not available", note);
        return Err(refusal);
    }
    lab.saw("show-inherited-grants", "available");
    let to = lab.reader()?.name;
    let give = "GRANT INHERITED SELECT ON ALL TABLES IN";
    lab.run(&format!("{give} {} {} TO ROLE {}", a.kind, a.path, to.quoted())).await?;
    let rows = lab.run(&format!("SHOW GRANTS ON TABLE {}", a.at("T"))).await?;
    let seen = if gives(&rows, "SELECT", &to) {
        let mut grants = Grants::default();
        let read = grants.add(Shown::On, &a.container, &rows);
        // What the adapter takes for a grant of the table's own would be granted anew.
        if read.is_ok() && !has(&grants, &to) {
            "listed and marked"
        } else {
            "listed like any other"
        }
    } else {
        "not listed"
    };
    lab.noticed(
        "list-inherited-grants",
        seen,
        Some(format!("columns: {}", rows.columns.join(", "))),
    );
    let clone = lab.clone_of(&a).await?;
    let in_clone = has(&within(lab, Shown::Inherited, &clone).await?.0, &to);
    lab.saw("clone-inherited-grants", copied(in_clone));
    lab.run(&a.swapping(&b)).await?;
    let (at_a, at_b) =
        (within(lab, Shown::Inherited, &a).await?.0, within(lab, Shown::Inherited, &b).await?.0);
    lab.saw("swap-inherited-grants", went(has(&at_a, &to), has(&at_b, &to)));
    Ok(())
}

/// The view from which the adapter reads the grants of a whole database at once.
pub(super) async fn view(lab: &Lab<'_>, level: Level) -> Step<()> {
    let a = lab.filled(level, 1).await?;
    let stranger = lab.new_role("STRANGER").await?;
    let own = format!("{}.R", a.path);
    lab.all(&[
        format!("GRANT SELECT ON TABLE {} TO ROLE {}", a.at("T"), stranger.quoted()),
        format!("CREATE DATABASE ROLE {own}"),
        format!("GRANT SELECT ON TABLE {} TO DATABASE ROLE {own}", a.at("T")),
    ])
    .await?;
    let rows = lab
        .run(&format!(
            "SELECT GRANTEE, GRANTED_TO FROM {}.INFORMATION_SCHEMA.OBJECT_PRIVILEGES \
             WHERE OBJECT_NAME = 'T' AND PRIVILEGE_TYPE = 'SELECT'",
            a.path
        ))
        .await?;
    let kind_of = |name: &str| {
        let mut rows = column(&rows, "grantee").into_iter().zip(column(&rows, "granted_to"));
        let row = rows.find(|row| row.0.as_deref() == Some(name));
        row.map(|row| row.1.unwrap_or_default())
    };
    let listed = kind_of(stranger.as_str()).is_some();
    lab.saw("view-other-roles", if listed { "listed" } else { "not listed" });
    let (seen, note) = match kind_of("R") {
        None => ("not listed", None),
        Some(kind) if kind.contains("DATABASE") => ("told apart", Some(kind)),
        Some(kind) => ("as a role", Some(kind)),
    };
    let note = note.map(|kind| format!("GRANTED_TO is {kind}"));
    lab.noticed("view-database-roles", seen, note);
    Ok(())
}
