//! Who this session is: which roles it has, and whether it sees and may change every grant.
//!
//! Future and inherited grants are printed and changed by the owner of the container or by a role
//! with MANAGE GRANTS, on the account or on the container (`/sql-reference/sql/show-grants`,
//! `/user-guide/inherited-grants-using`). SECURITYADMIN and ACCOUNTADMIN have it from the start
//! (`/user-guide/security-access-control-overview`). Whether a role is among those that are active,
//! also by inheritance, is asked with `IS_ROLE_IN_SESSION` (`/sql-reference/functions/is_role_in_session`).
//!
//! May import `ports` and its siblings.

use std::collections::BTreeSet;

use super::seen::Seen;
use super::table::lines;
use crate::adapter::snowflake::grants::{Grantee, On};
use crate::adapter::snowflake::ident::Ident;
use crate::adapter::snowflake::session::{Sessions, Tag, literal};
use crate::failure::Failure;
use crate::ports::{Answer, PortError, Rows};

const MANAGE: &str = "MANAGE GRANTS";

/// The session's standing.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// Its role.
    pub(super) role: Ident,
    /// Roles that are active, of those that were asked about.
    held: BTreeSet<Ident>,
    /// Whether it has MANAGE GRANTS on the account.
    manages: bool,
}

/// Asks about the owners on both sides, and about those who manage grants.
pub(super) async fn read(sessions: &Sessions, tag: &Tag, sides: [&Seen; 2]) -> Answer<Standing> {
    let rows = sessions.read(tag, "SELECT CURRENT_ROLE()").await?;
    let role = rows.rows.into_iter().flatten().next().flatten();
    let role = Ident::verbatim(role.unwrap_or_default()).map_err(|_| {
        PortError::Refused(
            Failure::usage("this session has no role").next("set `role` in profiles.yml"),
        )
    })?;
    // Without the right to see them, those that have it from the start are asked about.
    let account = match sessions.read(tag, "SHOW GRANTS ON ACCOUNT").await {
        Ok(rows) => rows,
        Err(PortError::Refused(_)) => Rows::default(),
        Err(error) => return Err(error),
    };
    let mut holders: BTreeSet<Ident> = ["SECURITYADMIN", "ACCOUNTADMIN"]
        .iter()
        .filter_map(|name| Ident::verbatim(*name).ok())
        .collect();
    for line in lines(&account) {
        if line.text("privilege").eq_ignore_ascii_case(MANAGE)
            && line.text("granted_to").eq_ignore_ascii_case("ROLE")
        {
            holders.insert(line.ident("grantee_name")?);
        }
    }
    let mut asked = holders.clone();
    for side in sides {
        asked.insert(side.owner.clone());
        asked.extend(side.schemas.values().map(|schema| schema.owner.clone()));
        asked.extend(local_managers(side).into_iter().map(|(_, role)| role));
    }
    asked.remove(&role);
    let held = held(sessions, tag, &asked).await?;
    let manages = holders.iter().any(|one| *one == role || held.contains(one));
    Ok(Standing { role, held, manages })
}

async fn held(sessions: &Sessions, tag: &Tag, asked: &BTreeSet<Ident>) -> Answer<BTreeSet<Ident>> {
    let mut held = BTreeSet::new();
    let asked: Vec<&Ident> = asked.iter().collect();
    for some in asked.chunks(100) {
        let one = |role: &&Ident| format!("IS_ROLE_IN_SESSION({})", literal(role.as_str()));
        let sql = format!("SELECT {}", some.iter().map(one).collect::<Vec<_>>().join(", "));
        let rows = sessions.read(tag, &sql).await?;
        let cells = rows.rows.into_iter().flatten().map(Option::unwrap_or_default);
        let yes = some.iter().zip(cells).filter(|(_, cell)| cell.eq_ignore_ascii_case("true"));
        held.extend(yes.map(|(role, _)| (*role).clone()));
    }
    Ok(held)
}

/// Roles with MANAGE GRANTS on the container or one of its schemas.
fn local_managers(side: &Seen) -> Vec<(Vec<Ident>, Ident)> {
    let held = side.grants.0.keys().filter(|grant| grant.privilege == MANAGE);
    held.filter_map(|grant| match (&grant.on, &grant.to) {
        (On::Object { kind, name, .. }, Grantee::Role(role))
            if name.is_empty() || kind == "SCHEMA" =>
        {
            Some((name.clone(), role.clone()))
        }
        _ => None,
    })
    .collect()
}

impl Standing {
    /// Whether a role is this session's, or inherited by it.
    pub(super) fn has(&self, role: &Ident) -> bool {
        *role == self.role || self.held.contains(role)
    }

    /// Whether it manages the grants of a place inside a container.
    pub(super) fn manages(&self, side: &Seen, place: &[Ident]) -> bool {
        self.manages
            || local_managers(side).iter().any(|(at, role)| place.starts_with(at) && self.has(role))
    }

    /// The places whose future and inherited grants it may not see, with their owners.
    pub(super) fn unseen(&self, side: &Seen) -> Vec<(Vec<Ident>, Ident)> {
        let own = (Vec::new(), side.owner.clone());
        let inside = side.schemas.iter().map(|(name, schema)| (name.clone(), schema.owner.clone()));
        let all: BTreeSet<_> = std::iter::once(own).chain(inside).collect();
        all.into_iter()
            .filter(|(place, owner)| !self.has(owner) && !self.manages(side, place))
            .collect()
    }
}
