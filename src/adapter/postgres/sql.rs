//! What is asked of PostgreSQL's catalogs, and the texts of statements that name things.
//!
//! Pure text. Names are quoted by `adapter::sql` and nowhere else. May import `adapter::sql`.

use crate::adapter::sql::identifier;

/// A relation's whole name.
pub(super) fn name(schema: &str, relation: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(relation))
}

/// Renames a schema.
pub(super) fn rename(from: &str, to: &str) -> String {
    format!("ALTER SCHEMA {} RENAME TO {}", identifier(from), identifier(to))
}

/// A search path of these schemas.
pub(super) fn search_path(schemas: &[&str]) -> String {
    let names: Vec<String> = schemas.iter().map(|schema| identifier(schema)).collect();
    format!("SET LOCAL search_path TO {}", names.join(", "))
}

/// Schemas of interest: `$1` the live ones, `$2` the stamp's table, `$3` the marker.
pub(super) const SCHEMAS: &str = "\
SELECT n.nspname::text, n.oid::text, c.oid IS NOT NULL, \
       coalesce(obj_description(n.oid, 'pg_namespace') = $3, false) \
FROM pg_namespace n \
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $2 AND c.relkind = 'r' \
WHERE n.nspname = ANY($1) OR c.oid IS NOT NULL \
   OR obj_description(n.oid, 'pg_namespace') = $3 \
ORDER BY 1";

/// Relations of schemas `$1` without those named `$2`: schema, name, kind, OID, owner, whether it
/// holds rows of its own that can be counted, and whether equal values of all its columns have equal
/// digests: not what compares by an OID of its schema (enums), by a collation that takes different
/// texts for equal, or not at all (`json`), and no arrays, whose digests leave their shape out. Before
/// version 14 no row has a digest.
pub(super) const RELATIONS: &str = "\
SELECT n.nspname::text, c.relname::text, c.relkind::text, c.oid, pg_get_userbyid(c.relowner)::text, \
       c.relkind = 'r' OR (c.relkind = 'm' AND c.relispopulated), \
       to_regproc('pg_catalog.hash_record_extended') IS NOT NULL AND NOT EXISTS ( \
         SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_collation o ON o.oid = a.attcollation \
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND ( \
           t.typnamespace <> 'pg_catalog'::regnamespace OR NOT coalesce(o.collisdeterministic, true) \
           OR t.typname <> ALL ('{bool,int2,int4,int8,float4,float8,numeric,\
               text,varchar,bpchar,date,time,timestamp,timestamptz,uuid,bytea,jsonb}'))) \
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname <> $2 \
ORDER BY 1, 2";

/// Columns of the relations `$1` (OIDs): OID, name, type.
pub(super) const COLUMNS: &str = "\
SELECT attrelid, attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
WHERE attrelid = ANY($1) AND attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum";

/// Texts of the views among the relations `$1` (OIDs).
pub(super) const VIEWS: &str = "\
SELECT oid, pg_get_viewdef(oid) FROM pg_class WHERE oid = ANY($1) AND relkind IN ('v', 'm')";

/// A digest of each relation's definition in schemas `$1` without those named `$2`, access left
/// out. To be asked with a search path of those schemas, so that their own names do not show.
pub(super) const DEFINITIONS: &str = "\
SELECT n.nspname || '.' || c.relname, md5(concat_ws(E'\\n', c.relkind::text, \
  (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), \
      a.attnotnull::text, a.attidentity::text, pg_get_expr(d.adbin, d.adrelid)), ',' ORDER BY attnum) \
   FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
  (SELECT string_agg(x.conname || ' ' || pg_get_constraintdef(x.oid), ',' ORDER BY x.conname) \
   FROM pg_constraint x WHERE x.conrelid = c.oid), \
  (SELECT string_agg(pg_get_indexdef(i.indexrelid), ',' ORDER BY pg_get_indexdef(i.indexrelid)) \
   FROM pg_index i WHERE i.indrelid = c.oid), \
  (SELECT string_agg(pg_get_triggerdef(t.oid), ',' ORDER BY t.tgname) \
   FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), \
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END)) \
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname <> $2 \
UNION ALL \
SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', \
       md5(CASE WHEN p.prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(p.oid) END) \
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY($1)";

/// A mark of everything that the catalogs say of schemas `$1`: it changes with any definition,
/// owner or access rule, and not with `ANALYZE` or `VACUUM`.
pub(super) const CATALOG_MARK: &str = "\
SELECT md5(coalesce(string_agg(one, ',' ORDER BY one), '')) FROM ( \
  SELECT concat_ws(':', 'n', n.oid, n.xmin) AS one FROM pg_namespace n WHERE n.nspname = ANY($1) \
  UNION ALL SELECT concat_ws(':', 'c', c.oid, c.xmin, c.relfilenode) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY($1) \
  UNION ALL SELECT concat_ws(':', 'p', p.oid, p.xmin) \
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY($1) \
  UNION ALL SELECT concat_ws(':', 't', t.oid, t.xmin) \
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY($1) \
  UNION ALL SELECT concat_ws(':', 'x', x.oid, x.xmin) \
    FROM pg_constraint x JOIN pg_namespace n ON n.oid = x.connamespace WHERE n.nspname = ANY($1) \
) all_of_them";

/// What moment this is, so that rows written after it can be told: as `txid_current_snapshot()`
/// prints it, but with what is under way inside of transactions too (savepoints, blocks with
/// exceptions), which it leaves out. Looking at each transaction since the oldest takes a second for
/// seven million: where there are more than `most`, everything since then counts as written after.
pub(super) fn moment(most: u32) -> String {
    format!(
        "SELECT CASE WHEN next - first > {most} THEN concat(first, ':', first, ':') ELSE \
           concat(first, ':', next, ':', (SELECT string_agg(x::text, ',' ORDER BY x) \
             FROM generate_series(first, next - 1) x \
             WHERE NOT txid_visible_in_snapshot(x, now) OR txid_status(x) = 'in progress')) \
           END AS moment \
         FROM (SELECT now, txid_snapshot_xmin(now) AS first, txid_snapshot_xmax(now) AS next \
               FROM txid_current_snapshot() now) one"
    )
}

/// The moment `$1` as [`WRITTEN_SINCE`] needs it, to begin a statement with.
const MOMENT: &str = "\
WITH moment AS (SELECT \
  age((txid_snapshot_xmax(past) % 4294967296)::text::xid)::bigint AS age, \
  txid_snapshot_xmax(txid_current_snapshot()) - txid_snapshot_xmax(past) AS since, \
  ARRAY(SELECT (x % 4294967296)::text::xid FROM txid_snapshot_xip(past) x) AS running \
  FROM (SELECT $1::text::txid_snapshot AS past) one) ";

/// Whether a row was written after the moment. A row has 32 bits of its transaction's number: it is
/// one of those that were given out since then if it lies so few behind the moment's, modulo 2³².
/// Comparing ages would take rows of two thousand million transactions ago, which have a negative one,
/// for new. 2147483647 is the age of what was always there.
const WRITTEN_SINCE: &str = "\
(age(xmin) <> 2147483647 AND \
  (((SELECT age FROM moment) - age(xmin)) & 4294967295) < (SELECT since FROM moment) \
 OR xmin = ANY ((SELECT running FROM moment)::xid[]))";

/// Rows of a relation, and those of them that were written after the moment `$1`.
pub(super) fn written_since(schema: &str, relation: &str) -> String {
    format!(
        "{MOMENT}SELECT count(*), count(*) FILTER (WHERE {WRITTEN_SINCE}) FROM ONLY {}",
        name(schema, relation)
    )
}

/// How many dependencies there are, and whether any of these catalogs has rows that were written
/// after the moment `$1`. Deleted rows show in the count.
pub(super) fn defined_since(catalogs: &[&str]) -> String {
    let newer: Vec<String> = catalogs
        .iter()
        .map(|one| format!("EXISTS (SELECT FROM pg_catalog.{one} WHERE {WRITTEN_SINCE})"))
        .collect();
    format!(
        "{MOMENT}SELECT (SELECT count(*) FROM pg_depend) AS many, {} AS newer",
        newer.join(" OR ")
    )
}

/// Rows of a relation.
pub(super) fn count(schema: &str, relation: &str) -> String {
    format!("SELECT count(*) FROM ONLY {}", name(schema, relation))
}

/// Rows of a relation and a digest of them, whatever their order. `by_value`: by its values' own
/// digests, twice as fast as by the row's text.
pub(super) fn digest(schema: &str, relation: &str, by_value: bool) -> String {
    // A row's digest is a sum over its columns: without a second one, the sum over rows would not tell
    // which values stand in one row. That of a number as `float8` keeps 53 bits of it, as `int8` only 32.
    let row = if by_value {
        "hashfloat8extended(hash_record_extended(\"switchback row\", 0)::float8, 0)"
    } else {
        "hashtextextended(\"switchback row\"::text, 0)"
    };
    format!(
        "SELECT count(*), coalesce(sum({row}), 0)::text FROM ONLY {} AS \"switchback row\"",
        name(schema, relation)
    )
}

/// Everything outside schemas `$1` that the cutover makes anew or changes: views over what lies
/// there, views over those, and tables whose foreign keys, triggers, policies or defaults name it.
/// Schema, name, kind, owner.
pub(super) const BOUND: &str = "\
WITH RECURSIVE own AS ( \
  SELECT 'pg_class'::regclass::oid AS class, c.oid FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY($1) \
  UNION ALL SELECT 'pg_proc'::regclass, p.oid FROM pg_proc p \
    JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY($1) \
  UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t \
    JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY($1)), \
named AS ( \
  SELECT DISTINCT d.classid, d.objid FROM own JOIN pg_depend d \
    ON d.refclassid = own.class AND d.refobjid = own.oid \
  WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_trigger'::regclass, \
    'pg_policy'::regclass, 'pg_attrdef'::regclass)), \
touched AS ( \
  SELECT DISTINCT coalesce(r.ev_class, x.conrelid, g.tgrelid, p.polrelid, f.adrelid) AS oid \
  FROM named d \
  LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid \
  LEFT JOIN pg_constraint x ON d.classid = 'pg_constraint'::regclass AND x.oid = d.objid \
    AND x.contype = 'f' \
  LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid \
    AND NOT g.tgisinternal \
  LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid \
  LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid), \
above AS ( \
  SELECT t.oid FROM touched t JOIN pg_class c ON c.oid = t.oid \
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname <> ALL($1) \
  UNION \
  SELECT r.ev_class FROM above JOIN pg_depend d ON d.refobjid = above.oid \
    AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_rewrite'::regclass \
  JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class \
  WHERE v.relkind IN ('v', 'm') AND r.ev_class <> above.oid AND EXISTS ( \
    SELECT FROM pg_class a WHERE a.oid = above.oid AND a.relkind IN ('v', 'm'))) \
SELECT n.nspname::text, c.relname::text, c.relkind::text, pg_get_userbyid(c.relowner)::text \
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname <> ALL($1) AND n.nspname !~ '^pg_(toast|temp)' \
  AND c.relkind IN ('r', 'p', 'v', 'm') AND c.oid IN (SELECT oid FROM above) \
ORDER BY c.oid DESC";

/// Relations of schemas `$1` that have the comment `$2`.
pub(super) const BARE: &str = "\
SELECT n.nspname || '.' || c.relname FROM pg_description d \
JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND n.nspname = ANY($1) \
  AND d.description = $2 ORDER BY 1";

/// Who holds locks on the relations `$1` (OIDs), in words.
pub(super) const HOLDERS: &str = "\
SELECT DISTINCT format('%s (pid %s, %s, since %s)', a.usename, a.pid, \
         coalesce(nullif(a.application_name, ''), 'no application name'), \
         to_char(a.xact_start, 'HH24:MI:SS')) \
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
WHERE l.relation = ANY($1) AND l.granted AND l.pid <> pg_backend_pid() LIMIT 5";

/// Relations of schemas `$1` that this transaction has read.
pub(super) const READ_HERE: &str = "\
SELECT DISTINCT n.nspname || '.' || c.relname FROM pg_locks l \
JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND n.nspname = ANY($1)";

/// What outside schema `$1` depends on something inside it, in PostgreSQL's words.
pub(super) const DEPENDENTS: &str = "\
WITH inside AS ( \
  SELECT 'pg_class'::regclass AS class, c.oid FROM pg_class c WHERE c.relnamespace = $1::oid \
  UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t WHERE t.typnamespace = $1::oid \
  UNION ALL SELECT 'pg_proc'::regclass, p.oid FROM pg_proc p WHERE p.pronamespace = $1::oid \
  UNION ALL SELECT 'pg_operator'::regclass, o.oid FROM pg_operator o WHERE o.oprnamespace = $1::oid), \
found AS ( \
  SELECT d.classid, d.objid, d.objsubid FROM pg_depend d JOIN inside i \
    ON i.class = d.refclassid AND i.oid = d.refobjid WHERE d.deptype IN ('n', 'a')), \
homes AS ( \
  SELECT f.*, CASE f.classid \
    WHEN 'pg_class'::regclass THEN (SELECT relnamespace FROM pg_class WHERE oid = f.objid) \
    WHEN 'pg_type'::regclass THEN (SELECT typnamespace FROM pg_type WHERE oid = f.objid) \
    WHEN 'pg_proc'::regclass THEN (SELECT pronamespace FROM pg_proc WHERE oid = f.objid) \
    WHEN 'pg_rewrite'::regclass THEN (SELECT c.relnamespace FROM pg_rewrite r \
      JOIN pg_class c ON c.oid = r.ev_class WHERE r.oid = f.objid) \
    WHEN 'pg_constraint'::regclass THEN (SELECT CASE WHEN x.conrelid = 0 THEN x.connamespace \
      ELSE (SELECT relnamespace FROM pg_class WHERE oid = x.conrelid) END \
      FROM pg_constraint x WHERE x.oid = f.objid) \
    WHEN 'pg_attrdef'::regclass THEN (SELECT c.relnamespace FROM pg_attrdef x \
      JOIN pg_class c ON c.oid = x.adrelid WHERE x.oid = f.objid) \
    WHEN 'pg_trigger'::regclass THEN (SELECT c.relnamespace FROM pg_trigger x \
      JOIN pg_class c ON c.oid = x.tgrelid WHERE x.oid = f.objid) \
    WHEN 'pg_policy'::regclass THEN (SELECT c.relnamespace FROM pg_policy x \
      JOIN pg_class c ON c.oid = x.polrelid WHERE x.oid = f.objid) \
    ELSE CASE WHEN f.classid IN ('pg_publication_rel'::regclass, 'pg_event_trigger'::regclass, \
      'pg_foreign_server'::regclass, 'pg_extension'::regclass) THEN 0::oid ELSE $1::oid END \
    END AS home FROM found f) \
SELECT DISTINCT pg_describe_object(classid, objid, objsubid) FROM homes \
WHERE home IS DISTINCT FROM $1::oid LIMIT 20";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_quotes_both_names() {
        assert_eq!(rename("a", "b\"c"), "ALTER SCHEMA \"a\" RENAME TO \"b\"\"c\"");
        assert_eq!(search_path(&["a", "b c"]), "SET LOCAL search_path TO \"a\", \"b c\"");
        assert_eq!(name("s", "t"), "\"s\".\"t\"");
    }
}
