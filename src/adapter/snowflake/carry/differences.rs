//! What has to be done so that a candidate has live's grants, decided from what was seen of both.
//!
//! - Grants: [`replay`] over what counts. Left out of the comparison are: what dbt declares for
//!   roles (`grants:`), grants to shares on the candidate (a share stays with the object), and what
//!   only the candidate has *and* lies on an object that only it has: a new model has the grants
//!   that its build gave it. Where a release of the past comes back, those count too, unless live
//!   grants the same privilege to the same grantee elsewhere in that schema.
//! - Owners: of the container and its schemas they have to be equal, and are given back; a
//!   container only to a role that this session has, for a swap needs OWNERSHIP of both
//!   (`/sql-reference/sql/alter-database`). Objects that dbt built belong to dbt's role, as they
//!   would without a clone: a note.
//! - Database roles are created where they are missing and have the same members
//!   (`/sql-reference/sql/grant-database-role`).
//!
//! Pure. May import its siblings.

use std::collections::{BTreeMap, BTreeSet};

use super::Policy;
use super::privileges::{Key, is_relation};
use super::seen::Seen;
use super::standing::Standing;
use super::table::few;
use crate::adapter::snowflake::grants::{Container, Grant, Grantee, Grants, On};
use crate::adapter::snowflake::ident::{Ident, ObjectPath};
use crate::adapter::snowflake::replay::{self, Difference, Target};

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Statements, wave after wave; those of one wave are independent.
    pub(super) waves: [Vec<String>; 5],
    /// How the two differ, in words.
    pub(super) differing: Vec<String>,
    /// What is worth a word.
    pub(super) notes: Vec<String>,
    /// What cannot be carried.
    pub(super) refused: Vec<String>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub(super) fn is_done(&self) -> bool {
        self.waves.iter().all(Vec::is_empty) && self.refused.is_empty()
    }
}

// The order of the waves: a revoke may take dependent grants along, so it goes first; ownership
// is given away last, because an owner may do all the rest.
const ROLES: usize = 0;
const REVOKES: usize = 1;
const CONTAINERS: usize = 2;
const GRANTS: usize = 3;
const OWNERS: usize = 4;

/// Decides.
pub(super) fn plan(from: &Seen, to: &Seen, standing: &Standing, policy: &Policy) -> Plan {
    let mut plan = Plan::default();
    unseen(from, to, standing, policy, &mut plan);
    roles(from, to, policy, &mut plan);
    grants(from, to, standing, policy, &mut plan);
    owners(from, to, standing, &mut plan);
    plan
}

fn place(container: &Container, name: &[Ident]) -> String {
    match (container, name) {
        (Container::Database(database), []) => format!("database {database}"),
        (Container::Schema(path), []) => format!("schema {path}"),
        (container, name) => {
            let name: Vec<String> = name.iter().map(ToString::to_string).collect();
            format!("schema {}.{}", container.database(), name.join("."))
        }
    }
}

fn unseen(from: &Seen, to: &Seen, standing: &Standing, policy: &Policy, plan: &mut Plan) {
    let mut places = Vec::new();
    for side in [from, to] {
        let all = standing.unseen(side).into_iter();
        places.extend(
            all.map(|(name, owner)| format!("{} (owner {owner})", place(&side.container, &name))),
        );
    }
    if places.is_empty() {
        return;
    }
    let role = &standing.role;
    let what = format!(
        "role {role} has no MANAGE GRANTS and cannot see the future and inherited grants of {}",
        few(places)
    );
    if policy.allow_unseen_grants {
        plan.notes.push(format!("{what}: what could not be seen was not carried"));
    } else {
        plan.refused.push(format!(
            "{what}; GRANT MANAGE GRANTS ON ACCOUNT TO ROLE {}, or allow it: \
             `allow: {{unseen-grants: true}}`",
            role.quoted()
        ));
    }
}

/// Relative names of what dbt declares.
fn declared(policy: &Policy, sides: [&Seen; 2]) -> BTreeSet<Vec<Ident>> {
    let relative = |path: &ObjectPath, container: &Container| match container {
        Container::Database(database) if *database == path.schema.database => {
            Some(vec![path.schema.schema.0.clone(), path.object.0.clone()])
        }
        Container::Schema(schema) if *schema == path.schema => Some(vec![path.object.0.clone()]),
        _ => None,
    };
    let both = |path| sides.into_iter().filter_map(move |side| relative(path, &side.container));
    policy.declared.iter().flat_map(both).collect()
}

fn is_declared(grant: &Grant, declared: &BTreeSet<Vec<Ident>>) -> bool {
    match (&grant.on, &grant.to) {
        (On::Object { kind, name, .. }, Grantee::Role(_)) => {
            is_relation(kind) && declared.contains(name)
        }
        _ => false,
    }
}

/// Whether what a grant is on is there at all.
fn has(side: &Seen, grant: &Grant) -> bool {
    match (&grant.on, Key::of(&grant.on)) {
        (On::Object { .. }, Some(key)) => side.objects.contains_key(&key),
        (On::Object { .. }, None) => true,
        (On::Future { within, .. } | On::Inherited { within, .. }, _) => {
            within.is_empty() || side.schemas.contains_key(within)
        }
    }
}

/// The schema, or the container itself, in which a grant holds.
fn schema_of(container: &Container, on: &On) -> Vec<Ident> {
    let name = match on {
        On::Object { name, .. } => name,
        On::Future { within, .. } | On::Inherited { within, .. } => within,
    };
    match container {
        Container::Database(_) => name.iter().take(1).cloned().collect(),
        Container::Schema(_) => vec![],
    }
}

/// The candidate's grants that count.
fn counted(from: &Seen, to: &Seen, policy: &Policy, declared: &BTreeSet<Vec<Ident>>) -> Grants {
    let rules: BTreeSet<_> = from
        .grants
        .0
        .keys()
        .map(|grant| (schema_of(&from.container, &grant.on), grant.privilege.as_str(), &grant.to))
        .collect();
    let counts = |grant: &Grant| {
        if matches!(grant.to, Grantee::Share(_)) || is_declared(grant, declared) {
            return false;
        }
        if has(from, grant) {
            return true;
        }
        let schema = schema_of(&to.container, &grant.on);
        let everywhere = (Vec::new(), grant.privilege.as_str(), &grant.to);
        let same = (schema, grant.privilege.as_str(), &grant.to);
        policy.past && !rules.contains(&same) && !rules.contains(&everywhere)
    };
    let kept = to.grants.0.iter().filter(|(grant, _)| counts(grant));
    Grants(kept.map(|(grant, option)| (grant.clone(), *option)).collect())
}

fn grants(from: &Seen, to: &Seen, standing: &Standing, policy: &Policy, plan: &mut Plan) {
    let declared = declared(policy, [from, to]);
    let mut live = from.grants.clone();
    live.0.retain(|grant, _| !is_declared(grant, &declared));
    let mut candidate = counted(from, to, policy, &declared);
    if policy.allow_unseen_grants {
        // What cannot be seen on one side cannot be compared; what only the other shows stays.
        let hidden: BTreeSet<_> = [from, to]
            .into_iter()
            .flat_map(|side| standing.unseen(side).into_iter().map(|(name, _)| name))
            .collect();
        for side in [&mut live, &mut candidate] {
            side.0.retain(|grant, _| match &grant.on {
                On::Future { within, .. } | On::Inherited { within, .. } => {
                    !hidden.contains(within)
                }
                On::Object { .. } => true,
            });
        }
    }
    let kind_of = |kind: &str, name: &[Ident]| kind_in(to, kind, name);
    let target = Target {
        container: &to.container,
        kind_of: &kind_of,
        leave_shares: policy.leave_shares || policy.allowed_kinds.contains(&super::Kind::Shares),
    };
    let (wanted, _) = replay::expected(&live, &target);
    let differences = replay::parity(&wanted, &candidate);
    hindrances(to, standing, &differences, plan);
    let replay = replay::replay(&live, &candidate, &target);
    plan.refused.extend(replay.refused);
    let shared = live.0.keys().any(|grant| matches!(grant.to, Grantee::Share(_)));
    if shared && !target.leave_shares {
        plan.refused.push("to leave shares behind: `allow: {objects: [shares]}`".to_owned());
    }
    if !replay.gone.is_empty() {
        let gone = few(&replay.gone);
        plan.notes
            .push(format!("grants that are not carried, with what they are on or for: {gone}"));
    }
    let extra: Vec<&Difference> =
        differences.iter().filter(|one| matches!(one, Difference::Extra(_))).collect();
    if !extra.is_empty() {
        plan.notes.push(format!("revoked on the candidate: {}", few(&extra)));
    }
    plan.differing.extend(differences.iter().map(ToString::to_string));
    for statement in replay.statements {
        let wave = if statement.starts_with("REVOKE") {
            REVOKES
        } else if [" ON DATABASE ", " ON SCHEMA "].iter().any(|on| on_is(&statement, on)) {
            CONTAINERS
        } else {
            GRANTS
        };
        plan.waves[wave].push(statement);
    }
}

/// Whether the first ON of a statement, which stands before any name, is this one.
fn on_is(statement: &str, on: &str) -> bool {
    statement.find(" ON ").is_some_and(|at| statement[at..].starts_with(on))
}

/// What an object is in the candidate: of the same kind if it can be, else of what it became.
fn kind_in(to: &Seen, kind: &str, name: &[Ident]) -> Option<String> {
    if matches!(kind, "FUNCTION" | "PROCEDURE") {
        // Its arguments are not asked about; one with other arguments is found by the statement.
        let same = |key: &&Key| key.name == name && key.kind() == kind;
        return to.objects.keys().find(same).map(|_| kind.to_owned());
    }
    let (now, _) = to.objects.get(&Key::new(kind, name.to_vec(), None))?;
    // SHOW OBJECTS says TABLE for several kinds; what the grants say is closer.
    let vague = is_relation(kind) && now == "TABLE" && kind.ends_with("TABLE");
    Some(if vague { kind.to_owned() } else { now.clone() })
}

/// Managed access: in such a schema only its owner grants, or who manages grants.
fn hindrances(to: &Seen, standing: &Standing, differences: &[Difference], plan: &mut Plan) {
    let mut hindered = BTreeMap::new();
    for difference in differences {
        let (Difference::Missing(grant)
        | Difference::Extra(grant)
        | Difference::MissingOption(grant)
        | Difference::ExtraOption(grant)) = difference;
        let schema = schema_of(&to.container, &grant.on);
        let Some(management) = to.schemas.get(&schema) else {
            continue;
        };
        let as_owner = standing.has(&management.owner);
        let role = if as_owner { &management.owner } else { &standing.role };
        if let Some(why) = management.hindrance(role, standing.manages(to, &schema)) {
            hindered.entry((schema, why)).or_insert_with(Vec::new).push(difference.to_string());
        }
    }
    for ((schema, why), all) in hindered {
        let what = place(&to.container, &schema);
        plan.refused.push(format!("{what}: {why} ({})", few(all)));
    }
}

fn roles(from: &Seen, to: &Seen, policy: &Policy, plan: &mut Plan) {
    if !matches!(to.container, Container::Database(_)) {
        return;
    }
    let database = to.container.database().quoted();
    let full = |role: &Ident| format!("{database}.{}", role.quoted());
    for role in from.roles.difference(&to.roles) {
        plan.differing.push(format!("missing: database role {role}"));
        plan.waves[ROLES].push(format!("CREATE DATABASE ROLE IF NOT EXISTS {}", full(role)));
    }
    let recipient = |grantee: &Grantee| match grantee {
        Grantee::Role(name) => Some(format!("ROLE {}", name.quoted())),
        Grantee::User(name) => Some(format!("USER {}", name.quoted())),
        Grantee::DatabaseRole(name) => Some(format!("DATABASE ROLE {}", full(name))),
        Grantee::Application(_) | Grantee::Share(_) | Grantee::Other(..) => None,
    };
    let shares = policy.leave_shares || policy.allowed_kinds.contains(&super::Kind::Shares);
    for (role, grantee) in from.members.difference(&to.members) {
        let what = format!("database role {role} to {grantee}");
        match (grantee, recipient(grantee)) {
            (Grantee::Share(_), _) if shares => {
                plan.notes.push(format!("grants that end here: {what}"));
            }
            (_, Some(to)) => {
                plan.waves[GRANTS].push(format!("GRANT DATABASE ROLE {} TO {to}", full(role)));
                plan.differing.push(format!("missing: {what}"));
            }
            (_, None) => plan.refused.push(format!("{what}: it cannot be granted again")),
        }
    }
    for (role, grantee) in to.members.difference(&from.members) {
        // What only the candidate has and no SQL takes away is a share, which stays with it.
        if let (true, Some(to)) = (from.roles.contains(role) || policy.past, recipient(grantee)) {
            plan.waves[REVOKES].push(format!("REVOKE DATABASE ROLE {} FROM {to}", full(role)));
            plan.differing.push(format!("not in live: database role {role} to {grantee}"));
        }
    }
}

fn owners(from: &Seen, to: &Seen, standing: &Standing, plan: &mut Plan) {
    if from.owner != to.owner {
        give(to, &[], &from.owner, standing.has(&from.owner), standing, plan);
    }
    for (name, live) in from.schemas.iter().filter(|(name, _)| !name.is_empty()) {
        let other = to.schemas.get(name).filter(|now| now.owner != live.owner);
        if other.is_some() {
            let may = standing.has(&live.owner) || standing.manages(to, name);
            give(to, name, &live.owner, may, standing, plan);
        }
    }
    let mut changed: BTreeMap<(&Ident, &Ident), Vec<String>> = BTreeMap::new();
    for (key, (kind, owner)) in &from.objects {
        let now = to.objects.get(key).and_then(|(_, owner)| owner.as_ref());
        if let (Some(was), Some(now)) = (owner, now)
            && was != now
            && kind != "SCHEMA"
        {
            let name: Vec<String> = key.name.iter().map(ToString::to_string).collect();
            changed.entry((was, now)).or_default().push(name.join("."));
        }
    }
    for ((was, now), names) in changed {
        let all = few(&names);
        let how = if names.len() == 1 {
            "1 object belongs".to_owned()
        } else {
            format!("{} objects belong", names.len())
        };
        plan.notes.push(format!("{how} to {now} instead of {was}: {all}"));
    }
}

fn give(to: &Seen, name: &[Ident], owner: &Ident, may: bool, standing: &Standing, plan: &mut Plan) {
    let what = place(&to.container, name);
    let sql = match name {
        [] => to.container.sql(),
        name => format!("SCHEMA {}", to.container.full(name)),
    };
    plan.differing.push(format!("the owner of {what} is not {owner}, as it is in live"));
    if may {
        let grant =
            format!("GRANT OWNERSHIP ON {sql} TO ROLE {} COPY CURRENT GRANTS", owner.quoted());
        plan.waves[OWNERS].push(grant);
    } else {
        plan.refused.push(format!(
            "{what} belongs to {}, and live's to {owner}, which role {role} does not have; GRANT ROLE \
             {} TO ROLE {}, or give live's to a role that it has",
            owner_of(to, name),
            owner.quoted(),
            standing.role.quoted(),
            role = standing.role,
        ));
    }
}

fn owner_of<'a>(side: &'a Seen, name: &[Ident]) -> &'a Ident {
    match (name, side.schemas.get(name)) {
        ([], _) | (_, None) => &side.owner,
        (_, Some(schema)) => &schema.owner,
    }
}
