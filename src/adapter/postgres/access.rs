//! Who may do what: live's rules are given to what comes in, relation by relation, and proved.
//!
//! What only the candidate allows is taken away (an archive's old rules must not revive access that
//! was revoked since), except where dbt itself decides it (`grants:`) and the candidate was never
//! live. Rules are compared without who gave them. May import `domain`, `failure`, `ports` and this
//! adapter's files.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::GenericClient;

use super::warehouse::Postgres;
use super::{lease, sql, stamp, words};
use crate::adapter::sql::{identifier, literal};
use crate::domain::name::SlotName;
use crate::domain::plan::Effect;
use crate::failure::Failure;
use crate::ports::{Answer, PortError, Token};

/// Every rule in schema `$1`, to be asked with a search path of that schema: what kind of thing, its
/// name there, the column, the statement's object, the grantee (none: everybody), whether that is
/// the owner, the privilege, whether it may be passed on. Things without rules have one row with no
/// privilege.
const RULES: &str = "\
WITH things AS ( \
  SELECT 'schema' AS kind, '' AS name, '' AS col, format('SCHEMA %I', nspname) AS object, \
         nspowner AS owner, coalesce(nspacl, acldefault('n', nspowner)) AS acl \
  FROM pg_namespace WHERE nspname = $1 \
  UNION ALL \
  SELECT 'relation', c.relname::text, '', \
         CASE WHEN c.relkind = 'S' THEN format('SEQUENCE %I.%I', $1, c.relname) \
              ELSE format('TABLE %I.%I', $1, c.relname) END, c.relowner, \
         coalesce(c.relacl, acldefault(CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner)) \
  FROM pg_class c WHERE c.relnamespace = $1::regnamespace \
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relname <> $2 \
  UNION ALL \
  SELECT 'relation', c.relname::text, a.attname::text, format('TABLE %I.%I', $1, c.relname), \
         c.relowner, a.attacl \
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
  WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
    AND c.relname <> $2 AND a.attnum > 0 AND NOT a.attisdropped \
  UNION ALL \
  SELECT 'routine', format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), '', \
         format('ROUTINE %I.%I(%s)', $1, p.proname, pg_get_function_identity_arguments(p.oid)), \
         p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)) \
  FROM pg_proc p WHERE p.pronamespace = $1::regnamespace \
  UNION ALL \
  SELECT 'type', t.typname::text, '', format('TYPE %I.%I', $1, t.typname), t.typowner, \
         coalesce(t.typacl, acldefault('T', t.typowner)) \
  FROM pg_type t WHERE t.typnamespace = $1::regnamespace AND (t.typtype IN ('e', 'd', 'r') \
    OR (t.typtype = 'c' AND (SELECT relkind = 'c' FROM pg_class WHERE oid = t.typrelid)))) \
SELECT kind, name, col, object, quote_ident(pg_get_userbyid(owner)), \
       CASE WHEN rule.grantee = 0 THEN NULL ELSE quote_ident(pg_get_userbyid(rule.grantee)) END, \
       coalesce(rule.grantee = owner, false), rule.privilege_type, coalesce(rule.is_grantable, false) \
FROM things LEFT JOIN LATERAL aclexplode(acl) AS rule ON true";

/// The rules for what will be made in schema `$1`: whose, on what, for whom, which, passed on.
const DEFAULTS: &str = "\
SELECT quote_ident(pg_get_userbyid(d.defaclrole)), \
       CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' \
         WHEN 'f' THEN 'FUNCTIONS' ELSE 'TYPES' END, \
       CASE WHEN rule.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(rule.grantee)) END, \
       rule.privilege_type, rule.is_grantable \
FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) AS rule \
WHERE d.defaclnamespace = $1::regnamespace";

/// What rules are about: kind, name and column.
type Key = (String, String, String);

/// One rule: for whom (none: the owner), what, and whether it may be passed on.
type Rule = (Option<String>, String, bool);

struct Thing {
    object: String,
    owner: String,
    rules: BTreeSet<Rule>,
}

impl Postgres {
    pub(super) async fn carry_access(&self, group: &[Effect], fence: Token) -> Answer<Vec<String>> {
        let mut doing = "bringing access rules over".to_owned();
        let mut fresh = self.sessions.fresh().await?;
        let (pid, since) = (fresh.pid, fresh.since.clone());
        let tx = fresh.begin(&doing).await?;
        lease::fence(&tx, self.environment(), fence).await?;
        for effect in group {
            let Effect::Carry { from, to, .. } = effect else { continue };
            doing = format!("bringing access rules from {from} over to {to}");
            let no = |error| words::refused(&doing, &error);
            let own = granted(&tx, to).await.map_err(no)?;
            let text = statements(&tx, from, to, &own).await.map_err(no)?;
            let owner = owned(&tx, from, to).await.map_err(no)?;
            let all: Vec<String> =
                owner.into_iter().chain(text).chain([stamp::unmark(to, from)]).collect();
            tx.batch_execute(&all.join(";\n")).await.map_err(no)?;
            let left = statements(&tx, from, to, &own).await.map_err(no)?;
            if !left.is_empty() {
                return Err(PortError::Refused(
                    Failure::stopped(format!(
                        "the access rules of {to} could not be made those of {from}; what is left \
                         to do:\n  {}",
                        left.join(";\n  ")
                    ))
                    .next("run these statements as the owner of what they name, then run it again"),
                ));
            }
        }
        match tx.commit().await {
            Ok(()) => Ok(Vec::new()),
            Err(error) => Err(self.sessions.settled(&doing, error, pid, &since).await),
        }
    }
}

/// The relations of a slot whose access dbt decides.
async fn granted(
    tx: &impl GenericClient,
    slot: &SlotName,
) -> Result<BTreeSet<String>, tokio_postgres::Error> {
    let text = format!("SELECT granted FROM {}", sql::name(slot.as_str(), stamp::TABLE));
    let row = tx.query_opt(text.as_str(), &[]).await?;
    Ok(row.map(|row| row.get::<_, Vec<String>>(0)).unwrap_or_default().into_iter().collect())
}

async fn owned(
    tx: &impl GenericClient,
    from: &SlotName,
    to: &SlotName,
) -> Result<Option<String>, tokio_postgres::Error> {
    let owner =
        "SELECT quote_ident(pg_get_userbyid(nspowner)) FROM pg_namespace WHERE nspname = $1";
    let of = async |slot: &SlotName| -> Result<String, tokio_postgres::Error> {
        Ok(tx.query_one(owner, &[&slot.as_str()]).await?.get(0))
    };
    let (wanted, is) = (of(from).await?, of(to).await?);
    Ok((wanted != is)
        .then(|| format!("ALTER SCHEMA {} OWNER TO {wanted}", identifier(to.as_str()))))
}

/// What has to be said so that `to` has the rules of `from`.
async fn statements(
    tx: &impl GenericClient,
    from: &SlotName,
    to: &SlotName,
    own: &BTreeSet<String>,
) -> Result<Vec<String>, tokio_postgres::Error> {
    let (wanted, is) = (things(tx, from).await?, things(tx, to).await?);
    let mut statements = Vec::new();
    for (key, thing) in &is {
        let (kind, name, column) = key;
        if kind == "relation" && own.contains(name) {
            continue;
        }
        if let Some(wanted) = wanted.get(key) {
            statements.extend(differences(wanted, thing, column));
        }
    }
    let (wanted, is) = (defaults(tx, from).await?, defaults(tx, to).await?);
    let schema = identifier(to.as_str());
    let say = |(role, on, whom, what, pass): &Default, grant: bool| {
        let clause = if *pass && grant { " WITH GRANT OPTION" } else { "" };
        let (verb, to) = if grant { ("GRANT", "TO") } else { ("REVOKE", "FROM") };
        format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA {schema} {verb} {what} ON {on} {to} \
             {whom}{clause}"
        )
    };
    statements.extend(is.difference(&wanted).map(|one| say(one, false)));
    statements.extend(wanted.difference(&is).map(|one| say(one, true)));
    Ok(statements)
}

/// Revocations come first: a rule that must not be passed on any more is given anew.
fn differences(wanted: &Thing, is: &Thing, column: &str) -> Vec<String> {
    let column =
        if column.is_empty() { String::new() } else { format!(" ({})", identifier(column)) };
    let whom = |rule: &Rule| rule.0.clone().unwrap_or_else(|| is.owner.clone());
    let revoke = |rule: &Rule| {
        format!("REVOKE {}{column} ON {} FROM {} CASCADE", rule.1, is.object, whom(rule))
    };
    let grant = |rule: &Rule| {
        let pass = if rule.2 { " WITH GRANT OPTION" } else { "" };
        format!("GRANT {}{column} ON {} TO {}{pass}", rule.1, is.object, whom(rule))
    };
    let revoked = is.rules.difference(&wanted.rules).map(revoke);
    revoked.chain(wanted.rules.difference(&is.rules).map(grant)).collect()
}

async fn things(
    tx: &impl GenericClient,
    slot: &SlotName,
) -> Result<BTreeMap<Key, Thing>, tokio_postgres::Error> {
    tx.batch_execute(&sql::search_path(&[slot.as_str()])).await?;
    let rows = tx
        .query(
            &RULES.replace("$1", &literal(slot.as_str())).replace("$2", &literal(stamp::TABLE)),
            &[],
        )
        .await?;
    let mut found: BTreeMap<Key, Thing> = BTreeMap::new();
    for row in rows {
        let key = (row.get(0), row.get(1), row.get(2));
        let thing = found.entry(key).or_insert_with(|| Thing {
            object: row.get(3),
            owner: row.get(4),
            rules: BTreeSet::new(),
        });
        let privilege: Option<String> = row.get(7);
        let Some(privilege) = privilege else { continue };
        let whom = match (row.get::<_, bool>(6), row.get::<_, Option<String>>(5)) {
            (true, _) => None,
            (false, Some(role)) => Some(role),
            (false, None) => Some("PUBLIC".to_owned()),
        };
        thing.rules.insert((whom, privilege, row.get(8)));
    }
    Ok(found)
}

/// Whose, on what, for whom, which, passed on.
type Default = (String, String, String, String, bool);

async fn defaults(
    tx: &impl GenericClient,
    slot: &SlotName,
) -> Result<BTreeSet<Default>, tokio_postgres::Error> {
    let text = DEFAULTS.replace("$1", &literal(&identifier(slot.as_str())));
    let rows = tx.query(&text, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(rules: &[(Option<&str>, &str, bool)]) -> Thing {
        let rule = |(whom, what, pass): &(Option<&str>, &str, bool)| {
            (whom.map(str::to_owned), (*what).to_owned(), *pass)
        };
        Thing {
            object: "TABLE b.orders".into(),
            owner: "dbt".into(),
            rules: rules.iter().map(rule).collect(),
        }
    }

    #[test]
    fn what_only_the_candidate_allows_is_revoked_and_what_it_lacks_is_granted() {
        let wanted = thing(&[(None, "SELECT", false), (Some("bi"), "SELECT", true)]);
        let is = thing(&[(None, "SELECT", false), (Some("eve"), "SELECT", false)]);
        assert_eq!(
            differences(&wanted, &is, ""),
            [
                "REVOKE SELECT ON TABLE b.orders FROM eve CASCADE",
                "GRANT SELECT ON TABLE b.orders TO bi WITH GRANT OPTION"
            ]
        );
        let owner = differences(&wanted, &thing(&[(Some("bi"), "SELECT", true)]), "id");
        assert_eq!(owner, ["GRANT SELECT (\"id\") ON TABLE b.orders TO dbt"]);
    }
}
