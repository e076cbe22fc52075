//! Whether a deploy can work here at all, found out without touching anything.
//!
//! May import `failure`, `ports` and this adapter's files.

use super::warehouse::Postgres;
use super::{lease, outside, sql, stamp};
use crate::failure::{Failure, Outcome};

/// The oldest server.
const OLDEST: i32 = 120_000;

/// How many locks of the server's table a cutover may take at most, in hundredths.
const SHARE: i64 = 50;

/// About the server and us: version number and words, whether it only follows another server,
/// whether we may make schemas, who we are, how many locks there are.
const ABOUT: &str = "\
SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
       pg_is_in_recovery(), has_database_privilege(current_database(), 'CREATE'), \
       current_user::text, \
       current_setting('max_locks_per_transaction')::bigint * \
       (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)";

/// What of live is not ours to rename, lock or copy.
const NOT_OURS: &str = "\
SELECT format('the schema %I, which belongs to %I', nspname, pg_get_userbyid(nspowner)) \
FROM pg_namespace WHERE nspname = ANY($1) AND NOT pg_has_role(nspowner, 'USAGE') \
UNION ALL \
SELECT format('%I.%I, which belongs to %I', n.nspname, c.relname, pg_get_userbyid(c.relowner)) \
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
  AND NOT pg_has_role(c.relowner, 'USAGE') \
LIMIT 6";

/// What cannot be swapped with a schema.
const IN_THE_WAY: &str = "\
SELECT format('the extension %s lives in the schema %I', e.extname, n.nspname), \
       format('move it: ALTER EXTENSION %I SET SCHEMA …', e.extname) \
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE n.nspname = ANY($1) \
UNION ALL \
SELECT format('the publication %s publishes %I.%I, and would go on with what was displaced', \
              p.pubname, n.nspname, c.relname), \
       'take it out of the publication, and publish what dbt does not write' \
FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid \
JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname = ANY($1)";

/// The same, of publications of whole schemas: since PostgreSQL 15.
const PUBLISHED_SCHEMAS: &str = "\
SELECT format('the publication %s publishes the schema %I, and would go on with what was displaced', \
              p.pubname, n.nspname), \
       'take it out of the publication, and publish what dbt does not write' \
FROM pg_publication_namespace r JOIN pg_publication p ON p.oid = r.pnpubid \
JOIN pg_namespace n ON n.oid = r.pnnspid WHERE n.nspname = ANY($1)";

impl Postgres {
    /// Looks at everything that would stop a deploy later.
    pub(super) async fn check(&self) -> Outcome<()> {
        let doing = "looking at the server";
        let lives = self.lives();
        for live in &lives {
            if live == lease::SCHEMA || live.starts_with("pg_") || live == "information_schema" {
                return Err(Failure::usage(format!("the schema {live} cannot be swapped"))
                    .next("let dbt write to a schema of its own"));
            }
        }
        self.check_search_path(&lives)?;
        let rows = self.sessions.ask(doing, ABOUT, &[]).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        let (number, version): (i32, String) = (row.get(0), row.get(1));
        if number < OLDEST {
            return Err(Failure::usage(format!(
                "the server is PostgreSQL {version}; Switchback needs 12 or newer"
            )));
        }
        if row.get(2) {
            return Err(Failure::usage("the server is a standby, which cannot be written to")
                .next("name the primary as `host` of the target in profiles.yml"));
        }
        let user: String = row.get(4);
        if !row.get::<_, bool>(3) {
            return Err(Failure::usage(format!(
                "the role {user} may not create schemas in this database"
            ))
            .next(format!(
                "as its owner: GRANT CREATE ON DATABASE … TO {user}   (docs/postgres.md has all \
                 privileges)"
            )));
        }
        let rows = self.sessions.ask(doing, NOT_OURS, &[&lives]).await?;
        if !rows.is_empty() {
            let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            return Err(Failure::usage(format!(
                "the role {user} cannot rename and lock what is not its own:\n  {}",
                names.join("\n  ")
            ))
            .next(format!(
                "make {user} the owner or a member of the owner's role, or name that role as \
                 `role` of the target"
            )));
        }
        let mut rows = self.sessions.ask(doing, IN_THE_WAY, &[&lives]).await?;
        if number >= 150_000 {
            rows.extend(self.sessions.ask(doing, PUBLISHED_SCHEMAS, &[&lives]).await?);
        }
        if let Some(row) = rows.first() {
            let (what, way): (String, String) = (row.get(0), row.get(1));
            return Err(Failure::usage(what).next(way));
        }
        self.check_locks(&lives, row.get(5)).await?;
        self.check_others(&lives).await
    }

    /// Looks at what is bound to live from outside and could not be made anew in a swap. Only where
    /// all live schemas are known: what lies in one of them is not outside.
    pub(super) async fn check_outside(&self) -> Outcome<()> {
        let lives = self.lives();
        let client = self.sessions.reading().await?;
        let bound = outside::capture(&client, &lives).await?;
        if !bound.refusals().is_empty() {
            return Err(Failure::usage(format!(
                "what is outside the swapped schemas is bound to them and would go on with old \
                 data after a swap:\n  {}",
                bound.refusals().join("\n  ")
            ))
            .next("drop what is named, or move it into a schema that dbt writes"));
        }
        Ok(())
    }

    /// dbt's sessions would find production by names without schemas while they build.
    fn check_search_path(&self, lives: &[String]) -> Outcome<()> {
        let Some(path) = &self.settings.search_path else { return Ok(()) };
        let names = |live: &&String| {
            path.split(',').any(|one| one.trim().trim_matches('"') == live.as_str())
        };
        match lives.iter().find(names) {
            None => Ok(()),
            Some(live) => Err(Failure::usage(format!(
                "`search_path` of the dbt target is `{path}`: with {live} in it, names without a \
                 schema would mean production also in the build"
            ))
            .next("take it out of `search_path`, and let models use `ref` and `source`")),
        }
    }

    async fn check_locks(&self, lives: &[String], all: i64) -> Outcome<()> {
        let rows = self
            .sessions
            .ask("counting relations", sql::RELATIONS, &[&lives.to_vec(), &stamp::TABLE])
            .await?;
        let needed = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        if needed <= all.saturating_mul(SHARE) / 100 {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "a cutover locks {needed} relations at once, and the server has room for {all} locks of \
             everybody together"
        ))
        .next("raise `max_locks_per_transaction` of the server and restart it"))
    }

    /// Two environments that share a schema would swap it from under each other.
    async fn check_others(&self, lives: &[String]) -> Outcome<()> {
        let there = "SELECT to_regclass('switchback.leases') IS NOT NULL";
        let doing = "looking for other environments";
        let rows = self.sessions.ask(doing, there, &[]).await?;
        if !rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
            return Ok(());
        }
        let sql = "SELECT environment, (SELECT min(one) FROM unnest(slots) AS one \
                   WHERE one = ANY($2)) FROM switchback.leases WHERE environment <> $1 AND slots && $2";
        let rows = self.sessions.ask(doing, sql, &[&self.environment(), &lives.to_vec()]).await?;
        match rows.first() {
            None => Ok(()),
            Some(row) => {
                let (other, schema): (String, String) = (row.get(0), row.get(1));
                Err(Failure::usage(format!(
                    "the schema {schema} belongs to the environment {other} (the target whose \
                     `schema` is {other}) too, and one schema cannot be swapped by two"
                ))
                .next("give the two targets schemas of their own"))
            }
        }
    }
}
