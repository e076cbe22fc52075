//! What SHOW and the Information Schema print, and what rows changed in a block come to.
//!
//! May import its siblings.

use super::fact::Level;
use super::lab::Lab;
use super::obstacle::{Obstacle, Step};
use super::site::{Site, column, missing};
use crate::adapter::snowflake::session::{Tag, literal};
use crate::ports::Rows;

fn columns(lab: &Lab<'_>, id: &str, rows: &Rows, names: &[&str]) {
    let absent = missing(rows, names);
    let note = Some(format!("columns: {}", rows.columns.join(", ")));
    if absent.is_empty() {
        lab.noticed(id, "all there", note);
    } else {
        lab.noticed(id, format!("no {}", absent.join(", ")), note);
    }
}

pub(super) async fn shows(lab: &Lab<'_>) -> Step<()> {
    let site = lab.site(Level::Anywhere)?;
    lab.create(true, " WITH MANAGED ACCESS", &site).await?;
    let inside = &site.inside;
    for name in ["T", "U"] {
        let sql = format!("CREATE TABLE {} AS SELECT 1 AS V UNION ALL SELECT 2", site.at(name));
        lab.run(&sql).await?;
    }
    lab.run(&format!("CREATE VIEW {} AS SELECT V FROM T", site.at("W"))).await?;

    let common = ["created_on", "name", "owner", "comment"];
    let with = |more: &[&'static str]| [&common, more].concat();
    let database = site.container.database().as_str().to_owned();
    let sql = format!("SHOW DATABASES STARTS WITH {}", literal(&database));
    let names = with(&["options", "retention_time", "origin", "kind"]);
    columns(lab, "show-databases", &lab.run(&sql).await?, &names);

    let rows = lab.run(&site.show()).await?;
    let names = with(&["database_name", "options", "retention_time", "owner_role_type"]);
    columns(lab, "show-schemas", &rows, &names);
    let options: Vec<String> = column(&rows, "options").into_iter().flatten().collect();
    let options = options.join("; ");
    let all = options.contains("TRANSIENT") && options.contains("MANAGED ACCESS");
    lab.noticed("show-schema-options", if all { "all there" } else { "not there" }, Some(options));

    let rows = lab.run(&format!("SHOW TABLES IN SCHEMA {inside}")).await?;
    let kinds = ["kind", "rows", "bytes", "is_external", "is_hybrid", "is_iceberg", "is_dynamic"];
    columns(lab, "show-tables", &rows, &with(&kinds));
    let counts: Vec<String> = column(&rows, "rows").into_iter().flatten().collect();
    let right = counts == ["2", "2"];
    let note = Some(format!("rows: {}", counts.join(", ")));
    lab.noticed("show-table-rows", if right { "right" } else { "wrong" }, note);

    let rows = lab.run(&format!("SHOW VIEWS IN SCHEMA {inside}")).await?;
    columns(lab, "show-views", &rows, &with(&["text", "is_secure", "is_materialized"]));
    let rows = lab.run(&format!("SHOW GRANTS ON TABLE {}", site.at("T"))).await?;
    let names = [
        "privilege",
        "granted_on",
        "name",
        "granted_to",
        "grantee_name",
        "grant_option",
        "granted_by",
    ];
    columns(lab, "show-grants", &rows, &names);
    let rows = lab.run(&format!("SHOW PARAMETERS IN SCHEMA {inside}")).await?;
    columns(lab, "show-parameters", &rows, &["key", "value", "default", "level"]);

    let page = lab.run(&format!("SHOW TABLES IN SCHEMA {inside} LIMIT 10 FROM 'T'")).await?;
    let names: Vec<String> = column(&page, "name").into_iter().flatten().collect();
    let seen = if names == ["U"] { "behind it" } else { "elsewhere" };
    lab.noticed("show-paging", seen, Some(format!("after T: {}", names.join(", "))));
    Ok(())
}

/// `LAST_ALTERED` and `LAST_DDL` of the table T.
async fn times(lab: &Lab<'_>, site: &Site) -> Step<(String, String)> {
    let database = site.container.database().quoted();
    let sql = format!(
        "SELECT LAST_ALTERED, LAST_DDL FROM {database}.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = {} \
         AND TABLE_NAME = 'T'",
        literal(site.name.as_str())
    );
    let rows = lab.run(&sql).await?;
    match rows.rows.first().map(Vec::as_slice) {
        Some([Some(altered), Some(ddl)]) => Ok((altered.clone(), ddl.clone())),
        _ => Err(Obstacle::new("the Information Schema does not list the table").at(&sql)),
    }
}

pub(super) async fn last_altered(lab: &Lab<'_>) -> Step<()> {
    let site = lab.filled(Level::Anywhere, 1).await?;
    let at_first = times(lab, &site).await?;
    lab.pause().await?;
    lab.run(&format!("INSERT INTO {} SELECT 2", site.at("T"))).await?;
    let written = times(lab, &site).await?;
    lab.pause().await?;
    lab.run(&format!("ALTER TABLE {} ADD COLUMN W INTEGER", site.at("T"))).await?;
    let altered = times(lab, &site).await?;
    let moves = |is| if is { "moves" } else { "stays" };
    lab.saw("dml-last-altered", moves(written.0 != at_first.0));
    lab.saw("dml-last-ddl", moves(written.1 != at_first.1));
    lab.saw("ddl-last-ddl", moves(altered.1 != written.1));
    Ok(())
}

pub(super) async fn hash_agg(lab: &Lab<'_>) -> Step<()> {
    let site = lab.site(Level::Anywhere)?;
    lab.create(false, "", &site).await?;
    let mut hashes = Vec::new();
    for (name, rows) in [("A", "1, 2"), ("B", "2, 1"), ("C", "1, 2, 2")] {
        let table = site.at(name);
        let all: Vec<String> = rows.split(", ").map(|v| format!("SELECT {v} AS V")).collect();
        lab.run(&format!("CREATE TABLE {table} AS {}", all.join(" UNION ALL "))).await?;
        hashes.push(lab.cell(&format!("SELECT HASH_AGG(*) FROM {table}")).await?);
    }
    let right = hashes[0].is_some() && hashes[0] == hashes[1] && hashes[0] != hashes[2];
    lab.saw("hash-agg", if right { "so" } else { "not so" });
    Ok(())
}

pub(super) async fn row_count(lab: &Lab<'_>) -> Step<()> {
    let site = lab.site(Level::Anywhere)?;
    lab.create(false, "", &site).await?;
    let table = site.at("T");
    lab.run(&format!("CREATE TABLE {table} AS SELECT 1 AS V UNION ALL SELECT 2")).await?;
    let sql = format!(
        "EXECUTE IMMEDIATE $$\nDECLARE\n  first_time INTEGER DEFAULT 0;\n  again INTEGER DEFAULT 0;\nBEGIN\n  \
         UPDATE {table} SET V = V + 10 WHERE V < 10;\n  first_time := SQLROWCOUNT;\n  \
         UPDATE {table} SET V = V + 10 WHERE V < 10;\n  again := SQLROWCOUNT;\n  \
         RETURN first_time || '/' || again;\nEND;\n$$"
    );
    let seen = lab.cell(&sql).await?.unwrap_or_default();
    let right = seen == "2/0";
    lab.noticed("block-row-count", if right { "right" } else { "wrong" }, Some(seen));
    Ok(())
}

/// Two blocks at once: each takes the row if it is free, holds its transaction open for a while,
/// and says when it began and ended.
pub(super) async fn race(lab: &Lab<'_>) -> Step<()> {
    let site = lab.site(Level::Anywhere)?;
    lab.create(false, "", &site).await?;
    let table = site.at("LEASE");
    lab.run(&format!("CREATE TABLE {table} (HOLDER VARCHAR)")).await?;
    lab.run(&format!("INSERT INTO {table} SELECT NULL")).await?;
    let milliseconds = (lab.names.pause.as_millis() * 2).max(300);
    let block = |who: &str| {
        format!(
            "EXECUTE IMMEDIATE $$\nDECLARE\n  taken INTEGER DEFAULT 0;\n  begun VARCHAR;\n  ended VARCHAR;\n\
             BEGIN\n  begun := (SELECT TO_VARCHAR(SYSDATE(), 'YYYY-MM-DD HH24:MI:SS.FF3'));\n  \
             BEGIN TRANSACTION;\n  UPDATE {table} SET HOLDER = '{who}' WHERE HOLDER IS NULL;\n  \
             taken := SQLROWCOUNT;\n  SELECT SYSTEM$WAIT({milliseconds}, 'MILLISECONDS');\n  COMMIT;\n  \
             ended := (SELECT TO_VARCHAR(SYSDATE(), 'YYYY-MM-DD HH24:MI:SS.FF3'));\n  \
             RETURN taken || '/' || begun || '/' || ended;\nEND;\n$$"
        )
    };
    // A tag of their own leaves the session of all other statements alone.
    let tag = Tag::new("probe", lab.names.prefix(), "race");
    // Two sessions that are signed in already: the one that is quicker must not be done first.
    let warm = format!("SELECT SYSTEM$WAIT({milliseconds}, 'MILLISECONDS')");
    for answer in lab.sessions.run_all(&tag, vec![warm.clone(); 2]).await {
        lab.note(&warm, &answer);
        answer.map_err(|error| Obstacle::of(error).at(&warm))?;
    }
    let blocks = vec![block("a"), block("b")];
    if lab.stopped.get() {
        return Err(Obstacle::interrupted());
    }
    let answers = lab.sessions.run_all(&tag, blocks.clone()).await;
    let mut ran = Vec::new();
    for (sql, answer) in blocks.iter().zip(answers) {
        lab.note(sql, &answer);
        let rows = answer.map_err(|error| Obstacle::of(error).at(sql))?;
        let cell = rows.rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
        let cell = cell.unwrap_or_default();
        let parts: Vec<String> = cell.split('/').map(str::to_owned).collect();
        let parts = <[String; 3]>::try_from(parts);
        ran.push(parts.map_err(|_| Obstacle::new(format!("the block answered `{cell}`")))?);
    }
    let [first, second] = ran.as_slice() else {
        return Err(Obstacle::new("two blocks had fewer than two answers"));
    };
    let note = Some(format!("{} and {}", first.join(", "), second.join(", ")));
    if first[2] <= second[1] || second[2] <= first[1] {
        return Err(Obstacle::new("the two statements did not run at once: one session only?"));
    }
    let seen = match (first[0].as_str(), second[0].as_str()) {
        ("1", "0") | ("0", "1") => "one",
        ("1", "1") => "both",
        _ => "neither",
    };
    lab.noticed("race", seen, note);
    Ok(())
}
