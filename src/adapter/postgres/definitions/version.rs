//! What the catalogs of PostgreSQL 12 and newer differ in, as fragments of the queries.

use tokio_postgres::Client;

use super::rows;
use crate::ports::Answer;

/// The server's version: 150018 is 15.18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub i32);

impl Version {
    /// Asks the server.
    pub async fn of(client: &Client) -> Answer<Self> {
        let sql = "SELECT current_setting('server_version_num')::int AS version";
        Ok(Self(rows(client, sql, &[]).await?[0].get("version")))
    }

    /// Whether it is that major version or newer.
    #[must_use]
    pub fn is(self, major: i32) -> bool {
        self.0 >= major * 10_000
    }

    /// A query with this version's fragments in the places of the marks.
    #[must_use]
    pub fn spell(self, sql: &str) -> String {
        let pick = |major, newer: &'static str, older: &'static str| {
            if self.is(major) { newer } else { older }
        };
        sql.replace(
            "/*multirange*/",
            pick(
                14,
                "coalesce((SELECT format(', multirange_type_name = %I.%I', mn.nspname, m.typname) \
                 FROM pg_type m JOIN pg_namespace mn ON mn.oid = m.typnamespace \
                 WHERE m.oid = r.rngmultitypid), '')",
                "''",
            ),
        )
        .replace(
            "/*multiranges*/",
            pick(
                14,
                "SELECT 'pg_type'::regclass::oid, m.oid, 'pg_type'::regclass::oid, r.rngtypid \
                 FROM pg_range r JOIN pg_type m ON m.oid = r.rngmultitypid \
                 OR m.typelem = r.rngmultitypid WHERE r.rngtypid = ANY ($2) UNION ALL",
                "",
            ),
        )
        .replace(
            "/*compression*/",
            pick(
                14,
                "CASE WHEN a.attcompression <> '' AND c.relkind <> 'v' THEN \
                 ARRAY[format('ALTER TABLE ONLY %s ALTER COLUMN %I SET COMPRESSION %s', s.name, \
                 a.attname, CASE a.attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END)] \
                 ELSE '{}' END",
                "'{}'",
            ),
        )
        .replace("/*or compressed*/", pick(14, "OR a.attcompression <> ''", ""))
        .replace("/*identity is inherited*/", pick(17, "c.relispartition", "false"))
        .replace(
            "/*no share of its parent's*/",
            pick(
                13,
                "g.tgparentid = 0",
                "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_trigger'::regclass \
                 AND d.objid = g.oid AND d.refclassid = 'pg_trigger'::regclass)",
            ),
        )
        .replace(
            "/*statistics target*/",
            pick(
                13,
                "CASE WHEN x.stxstattarget >= 0 THEN ARRAY[format('ALTER STATISTICS %I.%I SET \
                 STATISTICS %s', n.nspname, x.stxname, x.stxstattarget)] ELSE '{}' END",
                "'{}'",
            ),
        )
        .replace(
            "/*not null*/",
            pick(
                18,
                "coalesce((SELECT format(' CONSTRAINT %I NOT NULL%s', k.conname, \
                 CASE WHEN k.connoinherit THEN ' NO INHERIT' ELSE '' END) FROM pg_constraint k \
                 WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey[1] = a.attnum \
                 AND k.convalidated AND (k.conislocal OR c.relispartition)), '')",
                "CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END",
            ),
        )
    }
}
