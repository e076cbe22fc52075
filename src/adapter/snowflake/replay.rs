//! Carries grants from one container to another, and proves that nothing differs.
//!
//! What `from` has and `to` lacks is granted, what only `to` has is revoked: an archive's old
//! grants must not revive access that was revoked since. Syntax: `/sql-reference/sql/grant-privilege`,
//! `/sql-reference/sql/revoke-privilege`, `/user-guide/inherited-grants-using`.
//!
//! May import its siblings `grants` and `ident`.

use std::fmt;

use super::grants::{Container, Grant, Grantee, Grants, On};
use super::ident::Ident;

/// What is to be carried, and over what.
pub struct Target<'a> {
    /// The container that gets the grants.
    pub container: &'a Container,
    /// What an object of that kind and relative name is there: its kind, or `None` if it is gone.
    pub kind_of: &'a dyn Fn(&str, &[Ident]) -> Option<String>,
    /// Whether grants to shares may be left behind, as the operator has allowed.
    pub leave_shares: bool,
}

/// What carrying comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// The statements, in an order that works.
    pub statements: Vec<String>,
    /// Grants on objects that are not there any more: they end with them.
    pub gone: Vec<String>,
    /// What cannot be carried; not empty stops the deploy.
    pub refused: Vec<String>,
}

/// One way in which two containers' grants differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Live has it and the candidate does not.
    Missing(Grant),
    /// The candidate has it and live does not.
    Extra(Grant),
    /// Only live's may be passed on.
    MissingOption(Grant),
    /// Only the candidate's may be passed on.
    ExtraOption(Grant),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(grant) => write!(f, "missing: {grant}"),
            Self::Extra(grant) => write!(f, "not in live: {grant}"),
            Self::MissingOption(grant) => write!(f, "missing: {grant}, with grant option"),
            Self::ExtraOption(grant) => write!(f, "not in live: {grant}, with grant option"),
        }
    }
}

/// Privileges that tables and views share (`/user-guide/security-access-control-privileges`), so
/// that they survive a model that changed its materialization.
const SHARED: [&str; 2] = ["SELECT", "REFERENCES"];
const RELATIONS: [&str; 6] =
    ["TABLE", "VIEW", "MATERIALIZED VIEW", "DYNAMIC TABLE", "EXTERNAL TABLE", "ICEBERG TABLE"];

/// The grants that the candidate ought to have: those on objects that changed their kind are on
/// the new kind, those on objects that are gone are left out.
#[must_use]
pub fn expected(from: &Grants, target: &Target<'_>) -> (Grants, Replay) {
    let mut wanted = Grants::default();
    let mut notes = Replay::default();
    for (grant, option) in &from.0 {
        if let Grantee::Share(_) = grant.to {
            if target.leave_shares {
                notes.gone.push(grant.to_string());
            } else {
                notes.refused.push(format!("{grant}: a share stays on the old object"));
            }
            continue;
        }
        let mut grant = grant.clone();
        let shown = grant.to_string();
        if let On::Object { kind, name, .. } = &mut grant.on
            && !name.is_empty()
        {
            match (target.kind_of)(kind, name) {
                None => {
                    notes.gone.push(shown);
                    continue;
                }
                Some(now) if now == *kind => {}
                Some(now) => {
                    let both = [kind.as_str(), now.as_str()];
                    let related = both.iter().all(|kind| RELATIONS.contains(kind));
                    if !related || !SHARED.contains(&grant.privilege.as_str()) {
                        let now = now.to_lowercase();
                        notes.refused.push(format!("{shown}: it is a {now} now"));
                        continue;
                    }
                    *kind = now;
                }
            }
        }
        *wanted.0.entry(grant).or_default() |= *option;
    }
    (wanted, notes)
}

/// The statements that give the candidate, whose grants are `to`, the grants of live.
#[must_use]
pub fn replay(from: &Grants, to: &Grants, target: &Target<'_>) -> Replay {
    let (wanted, mut replay) = expected(from, target);
    let mut revokes = Vec::new();
    let mut grants = Vec::new();
    for difference in parity(&wanted, to) {
        let (grant, give) = match &difference {
            Difference::Missing(grant) => (grant, Some(wanted.0.get(grant) == Some(&true))),
            Difference::MissingOption(grant) => (grant, Some(true)),
            Difference::Extra(grant) | Difference::ExtraOption(grant) => (grant, None),
        };
        let option_only = matches!(difference, Difference::ExtraOption(_));
        let statement = match give {
            Some(option) => granting(grant, option, target.container),
            None => revoking(grant, option_only, target.container),
        };
        match (statement, give.is_some()) {
            (Some(statement), true) => grants.push((order(&grant.on), statement)),
            (Some(statement), false) => revokes.push(statement),
            (None, _) => replay.refused.push(format!("{difference}: it cannot be granted by SQL")),
        }
    }
    grants.sort();
    replay.statements = revokes;
    replay.statements.extend(grants.into_iter().map(|(_, statement)| statement));
    replay
}

/// Containers before what lies in them, existing objects before rules for later ones.
fn order(on: &On) -> usize {
    match on {
        On::Object { name, .. } => name.len(),
        On::Future { .. } => 8,
        On::Inherited { .. } => 9,
    }
}

/// How the grants of a candidate differ from those it ought to have.
#[must_use]
pub fn parity(from: &Grants, to: &Grants) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (grant, option) in &from.0 {
        match to.0.get(grant) {
            None => differences.push(Difference::Missing(grant.clone())),
            Some(false) if *option => differences.push(Difference::MissingOption(grant.clone())),
            Some(true) if !*option => differences.push(Difference::ExtraOption(grant.clone())),
            Some(_) => {}
        }
    }
    let extra = to.0.keys().filter(|grant| !from.0.contains_key(*grant));
    differences.extend(extra.cloned().map(Difference::Extra));
    differences
}

fn granting(grant: &Grant, option: bool, container: &Container) -> Option<String> {
    let what = securable(&grant.on, container)?;
    let to = recipient(&grant.to, container)?;
    let inherited = inherited(&grant.on);
    // Neither ownership nor an inherited grant can be passed on by this clause.
    let option = option && inherited.is_empty() && grant.privilege != "OWNERSHIP";
    let option = if option { " WITH GRANT OPTION" } else { "" };
    Some(format!("GRANT {inherited}{} ON {what} TO {to}{option}", grant.privilege))
}

fn revoking(grant: &Grant, option_only: bool, container: &Container) -> Option<String> {
    let what = securable(&grant.on, container)?;
    let from = recipient(&grant.to, container)?;
    let only = if option_only { "GRANT OPTION FOR " } else { "" };
    let inherited = inherited(&grant.on);
    Some(format!("REVOKE {only}{inherited}{} ON {what} FROM {from}", grant.privilege))
}

fn inherited(on: &On) -> &'static str {
    match on {
        On::Inherited { .. } => "INHERITED ",
        _ => "",
    }
}

fn securable(on: &On, container: &Container) -> Option<String> {
    Some(match on {
        On::Object { name, .. } if name.is_empty() => container.sql(),
        On::Object { kind, name, arguments } => {
            let arguments = arguments.as_ref().map(|types| format!("({types})"));
            let kind = word(kind)?;
            format!("{kind} {}{}", container.full(name), arguments.unwrap_or_default())
        }
        On::Future { kind, within } => {
            format!("FUTURE {} IN {}", plural(kind)?, place(within, container))
        }
        On::Inherited { kind, within } => {
            format!("ALL {} IN {}", plural(kind)?, place(within, container))
        }
    })
}

fn place(within: &[Ident], container: &Container) -> String {
    if within.is_empty() { container.sql() } else { format!("SCHEMA {}", container.full(within)) }
}

/// A kind that is words and nothing else: it is written into SQL as it was printed.
fn word(kind: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_uppercase() || c == ' ';
    (!kind.is_empty() && kind.chars().all(plain)).then_some(kind)
}

fn plural(kind: &str) -> Option<String> {
    let kind = word(kind)?;
    Some(match kind.strip_suffix('Y') {
        Some(stem) => format!("{stem}IES"),
        None => format!("{kind}S"),
    })
}

fn recipient(to: &Grantee, container: &Container) -> Option<String> {
    Some(match to {
        Grantee::Role(name) => format!("ROLE {}", name.quoted()),
        Grantee::DatabaseRole(name) => {
            format!("DATABASE ROLE {}.{}", container.database().quoted(), name.quoted())
        }
        Grantee::User(name) => format!("USER {}", name.quoted()),
        Grantee::Application(name) => format!("APPLICATION {}", name.quoted()),
        Grantee::Share(_) | Grantee::Other(..) => return None,
    })
}

/// Who decides over the grants in a schema (`/user-guide/security-access-control-configure`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Management {
    /// Whether the schema has managed access.
    pub managed: bool,
    /// The schema's owner.
    pub owner: Ident,
}

impl Management {
    /// Why `role` cannot grant and revoke in the schema, if it cannot: with managed access only
    /// the schema's owner can, or a role with MANAGE GRANTS.
    #[must_use]
    pub fn hindrance(&self, role: &Ident, has_manage_grants: bool) -> Option<String> {
        if !self.managed || has_manage_grants || *role == self.owner {
            return None;
        }
        Some(format!(
            "the schema has managed access, so that only its owner {} can grant in it, and this \
             session's role is {role}",
            self.owner
        ))
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
