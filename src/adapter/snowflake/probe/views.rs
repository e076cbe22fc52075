//! Views and the names in them.
//!
//! May import its siblings.

use super::fact::Level;
use super::lab::Lab;
use super::obstacle::{Obstacle, Step};
use super::site::{Site, column, gives};
use crate::adapter::snowflake::ident::ObjectPath;
use crate::adapter::snowflake::relink::{Rewrite, rewrite};
use crate::adapter::snowflake::session::literal;
use crate::adapter::snowflake::view;

/// What the views of A and of its clone B, and the session's own table, hold.
const IN_A: u32 = 1;
const IN_B: u32 = 2;
const IN_SESSION: u32 = 9;

/// Makes the session's own place one where the relative names mean something else.
async fn stand_in(lab: &Lab<'_>, place: &Site) -> Step<()> {
    lab.run(&format!("USE SCHEMA {}", place.inside)).await?;
    let now = lab.cell("SELECT CURRENT_DATABASE() || '.' || CURRENT_SCHEMA()").await?;
    let schema = match place.level {
        Level::Database => format!("{}.S", place.name.as_str()),
        _ => format!("{}.{}", place.container.database().as_str(), place.name.as_str()),
    };
    if now.as_deref() == Some(schema.as_str()) {
        return Ok(());
    }
    Err(Obstacle::new("the session did not stay where USE put it"))
}

/// Whose table a view reads, told by the value; `own` is the right one's. Everything here is ours,
/// so that an error is an answer too.
async fn whose(lab: &Lab<'_>, view: &str, own: u32) -> Step<&'static str> {
    let rows = match lab.run(&format!("SELECT V FROM {view}")).await {
        Ok(rows) => rows,
        Err(obstacle) if obstacle.code().is_some() => return Ok("nobody's"),
        Err(obstacle) => return Err(obstacle),
    };
    let cell = rows.rows.first().and_then(|row| row.first().cloned().flatten());
    Ok(match cell.and_then(|cell| cell.parse::<u32>().ok()) {
        Some(value) if value == own => "its own",
        Some(IN_SESSION) => "the session's",
        Some(IN_A) => "the original's",
        Some(IN_B) => "the clone's",
        _ => "nobody's",
    })
}

/// Creates the views with relative names; those that could be created.
async fn relative_views(lab: &Lab<'_>, a: &Site) -> Step<Vec<&'static str>> {
    let mut wanted = vec![("view-bare-name", "BARE", "T")];
    if a.level == Level::Database {
        wanted.push(("view-schema-name", "HALF", "S.T"));
    }
    let mut created = Vec::new();
    for (id, name, source) in wanted {
        let view = a.at(name);
        match lab.run(&format!("CREATE VIEW {view} AS SELECT V FROM {source}")).await {
            Ok(_) => {
                lab.saw(id, whose(lab, &view, IN_A).await?);
                created.push(name);
            }
            Err(obstacle) if obstacle.is_answer() => {
                lab.noticed(id, "nobody's", Some(obstacle.message().to_owned()));
            }
            Err(obstacle) => return Err(obstacle),
        }
    }
    if created.is_empty() {
        return Err(Obstacle::new("no view with relative names could be created"));
    }
    Ok(created)
}

pub(super) async fn names(lab: &Lab<'_>, level: Level) -> Step<()> {
    let session = lab.filled(level, IN_SESSION).await?;
    let a = lab.filled(level, IN_A).await?;
    stand_in(lab, &session).await?;
    let relative = relative_views(lab, &a).await?;
    lab.run(&format!("CREATE VIEW {} AS SELECT V FROM {}", a.at("FULL"), a.at("T"))).await?;
    let b = lab.clone_of(&a).await?;
    lab.run(&format!("UPDATE {} SET V = {IN_B}", b.at("T"))).await?;
    stand_in(lab, &session).await?;

    let mut worst = "its own";
    for name in &relative {
        let seen = whose(lab, &b.at(name), IN_B).await?;
        worst = if seen == "its own" { worst } else { seen };
    }
    lab.saw("clone-view-relative", worst);
    let full = whose(lab, &b.at("FULL"), IN_A).await?;
    lab.saw("clone-view-qualified", if full == "its own" { "as written" } else { full });
    let (of_a, of_b) = (texts(lab, &a).await?, texts(lab, &b).await?);
    lab.saw("clone-view-text", if of_a == of_b { "as written" } else { "written anew" });

    lab.run(&a.swapping(&b)).await?;
    stand_in(lab, &session).await?;
    // What was B, with its tables and views, is called A now.
    let mut worst = "its own";
    for name in &relative {
        for (site, own) in [(&a, IN_B), (&b, IN_A)] {
            let seen = whose(lab, &site.at(name), own).await?;
            worst = if seen == "its own" { worst } else { seen };
        }
    }
    lab.saw("swap-view-relative", worst);
    // Both FULL views name A.
    let mut seen = "as written";
    for site in [&a, &b] {
        if whose(lab, &site.at("FULL"), IN_B).await? != "its own" {
            seen = "as bound before";
        }
    }
    lab.saw("swap-view-qualified", seen);
    Ok(())
}

async fn texts(lab: &Lab<'_>, site: &Site) -> Step<Vec<Option<String>>> {
    let rows = lab.run(&format!("SHOW VIEWS IN SCHEMA {}", site.inside)).await?;
    Ok(column(&rows, "text"))
}

pub(super) async fn copy_grants(lab: &Lab<'_>) -> Step<()> {
    let reader = lab.reader()?;
    let site = lab.filled(Level::Anywhere, 1).await?;
    let view = site.at("W");
    lab.all(&[
        format!("CREATE VIEW {view} AS SELECT V FROM {}", site.at("T")),
        format!("GRANT SELECT ON VIEW {view} TO ROLE {}", reader.name.quoted()),
        format!("CREATE OR REPLACE VIEW {view} COPY GRANTS AS SELECT V + 1 AS V FROM T"),
    ])
    .await?;
    let rows = lab.run(&format!("SHOW GRANTS ON VIEW {view}")).await?;
    let kept = gives(&rows, "SELECT", &reader.name);
    lab.saw("view-copy-grants", if kept { "kept" } else { "lost" });
    Ok(())
}

/// Reads definitions and re-creates a view with the adapter's own code.
pub(super) async fn definition(lab: &Lab<'_>) -> Step<()> {
    let a = lab.filled(Level::Anywhere, 1).await?;
    let query = format!("SELECT x.V, 'T' AS N FROM T AS x JOIN {} AS y ON x.V = y.V", a.at("T"));
    stand_in(lab, &a).await?;
    let view = a.at("W");
    let comments = "(V COMMENT 'the value', N) COMMENT = 'probe'";
    lab.run(&format!("CREATE VIEW {view} {comments} AS {query}")).await?;
    let was = read(lab, &a).await?;
    let full = was.name == Some(format!("{}.W", a.inside));
    lab.noticed("ddl-name", if full { "in full" } else { "not in full" }, Some(words(&was.ddl)));
    let same = words(&was.query) == words(&query);
    let note = Some(words(&was.query));
    lab.noticed("ddl-query", if same { "as written" } else { "written anew" }, note);
    let b = lab.clone_of(&a).await?;
    let of_clone = read(lab, &b).await?;
    let seen = if of_clone.name == Some(format!("{}.W", b.inside)) {
        "the clone's"
    } else if of_clone.name == Some(format!("{}.W", a.inside)) {
        "the original's"
    } else {
        "neither's"
    };
    lab.noticed("ddl-of-clone", seen, Some(words(&of_clone.ddl)));
    recreate(lab, &a, &was.ddl).await
}

async fn recreate(lab: &Lab<'_>, site: &Site, ddl: &str) -> Step<()> {
    let wrong = |error: &dyn std::fmt::Display| Obstacle::new(error.to_string());
    let view = site.at("W");
    let path = ObjectPath::from_sql(&view).map_err(|error| wrong(&error))?;
    let drop = Rewrite::DropDatabase(site.container.database().clone());
    let recreated = view::recreate(ddl, &path, &drop).map_err(|doubts| wrong(&doubts[0]))?;
    let described = || async {
        let columns = lab.run(&format!("DESCRIBE VIEW {view}")).await?;
        let listed = lab.run(&format!("SHOW VIEWS IN SCHEMA {}", site.inside)).await?;
        let facts = ["name", "type", "comment"].map(|name| column(&columns, name));
        Ok::<_, Obstacle>((facts, column(&listed, "comment"), whose(lab, &view, IN_A).await?))
    };
    let before = described().await?;
    if let Err(obstacle) = lab.run(&recreated.statement).await {
        if !obstacle.is_answer() {
            return Err(obstacle);
        }
        lab.noticed("recreate-view", "refused", Some(obstacle.message().to_owned()));
        return Ok(());
    }
    let after = described().await?;
    let now = read(lab, site).await?;
    let relative = rewrite(&now.query, &drop).changed == 0;
    let same = before == after && relative && recreated.changed == 1;
    lab.noticed("recreate-view", if same { "the same" } else { "another" }, Some(words(&now.ddl)));
    Ok(())
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A definition and what the adapter reads in it.
struct Definition {
    ddl: String,
    /// The created name, as `"db"."schema".W`.
    name: Option<String>,
    query: String,
}

async fn read(lab: &Lab<'_>, site: &Site) -> Step<Definition> {
    let view = literal(&site.at("W"));
    let ddl = lab.cell(&format!("SELECT GET_DDL('VIEW', {view}, TRUE)")).await?;
    let ddl = ddl.unwrap_or_default();
    let parsed = view::parse(&ddl)
        .map_err(|doubt| Obstacle::new(format!("{doubt}, in: {}", words(&ddl))))?;
    let path = ObjectPath::from_sql(&ddl[parsed.name]).ok();
    let name = path.map(|path| format!("{}.{}", path.schema.quoted(), path.object.as_str()));
    let query = ddl[parsed.query].to_owned();
    Ok(Definition { ddl, name, query })
}
