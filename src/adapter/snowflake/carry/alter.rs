//! Carries settings, and proves it. Two statements a schema and side (parameters are printed one
//! container at a time, tags for many at once), in parallel.
//!
//! May import `failure`, `ports` and its siblings.

use super::settings::{self, Settings, Side};
use super::table::{self, is_system, is_unknown_here, lines, own_name, own_row};
use crate::adapter::snowflake::grants::Container;
use crate::adapter::snowflake::ident::{Ident, Schema, SchemaPath};
use crate::adapter::snowflake::session::{Sessions, Tag, literal};
use crate::failure::Failure;
use crate::ports::{Answer, PortError, Rows};

/// How many containers one question about tags names.
const TAGS: usize = 50;

/// Gives `to` and the schemas in it the comment, parameters, tags and managed access of `from`, and
/// proves that nothing differs; answers notes.
pub async fn settings(
    sessions: &Sessions,
    tag: &Tag,
    from: &Container,
    to: &Container,
) -> Answer<Vec<String>> {
    let all = &|_: &[Ident]| None;
    let (live, now) = tokio::join!(read(sessions, tag, from, all), read(sessions, tag, to, all));
    let (live, now) = (live?, now?);
    let changes = settings::changes(to, &live, &now);
    if !changes.refused.is_empty() {
        return Err(refusal(from, to, &changes.refused, &[]));
    }
    if changes.statements.is_empty() {
        return Ok(vec![]);
    }
    let mut errors = Vec::new();
    for answer in sessions.run_all(tag, changes.statements).await {
        if let Err(error) = answer {
            errors.push(error.to_string());
        }
    }
    let known = &|name: &[Ident]| if changes.places.contains(name) { None } else { now.get(name) };
    let now = read(sessions, tag, to, known).await?;
    let left = settings::changes(to, &live, &now);
    if left.statements.is_empty() && left.refused.is_empty() {
        return Ok(changes
            .differing
            .into_iter()
            .map(|one| format!("carried over: {one}"))
            .collect());
    }
    Err(refusal(from, to, &left.differing, &errors))
}

fn refusal(from: &Container, to: &Container, what: &[String], errors: &[String]) -> PortError {
    let all = what.iter().chain(errors).map(|one| format!("\n  {one}"));
    let message = format!(
        "what is set on {} could not be carried to {}; nothing was swapped:{}",
        from.sql(),
        to.sql(),
        all.collect::<String>()
    );
    PortError::Refused(Failure::stopped(message).next(
        "give the role what it lacks (`switchback doctor` lists it), or change the setting, and run \
         it again",
    ))
}

/// Reads one side. `known` are the places whose parameters and tags were read and not changed since.
async fn read<'a>(
    sessions: &Sessions,
    tag: &Tag,
    container: &Container,
    known: &impl Fn(&[Ident]) -> Option<&'a Settings>,
) -> Answer<Side> {
    let mut questions = vec![own_row(container)];
    if let Container::Database(database) = container {
        questions.push(format!("SHOW SCHEMAS IN DATABASE {}", database.quoted()));
    }
    let answers = sessions.read_all(tag, questions).await?;
    let mut side = Side::new();
    let own = own_name(container).as_str();
    for line in lines(&answers[0]).filter(|line| line.cell("name") == Some(own)) {
        side.insert(vec![], settings::read(line));
    }
    if side.is_empty() {
        let what = container.sql();
        let why = format!("{what} is not there, or this role may not see it");
        return Err(PortError::Refused(Failure::stopped(why)));
    }
    for line in answers.get(1).into_iter().flat_map(lines) {
        let name = line.ident("name")?;
        if !is_system(&name) {
            side.insert(vec![name], settings::read(line));
        }
    }
    for (name, one) in &mut side {
        if let Some(before) = known(name) {
            one.keep(before);
        }
    }
    let asked = side.keys().filter(|name| known(name).is_none());
    let places: Vec<(Vec<Ident>, Container)> =
        asked.map(|name| (name.clone(), place(container, name))).collect();
    let questions = places.iter().map(|(_, place)| format!("SHOW PARAMETERS IN {}", place.sql()));
    let answers = sessions.read_all(tag, questions.collect()).await?;
    for ((name, place), rows) in places.iter().zip(&answers) {
        if let Some(one) = side.get_mut(name) {
            one.parameters(kind(place), rows);
        }
    }
    for some in places.chunks(TAGS) {
        let rows = tags(sessions, tag, some).await?;
        for line in lines(&rows) {
            let at = line.text("PLACE").parse::<usize>().ok().and_then(|at| some.get(at));
            if let Some(one) = at.and_then(|(name, _)| side.get_mut(name)) {
                one.tag(container, line)?;
            }
        }
    }
    Ok(side)
}

fn place(container: &Container, name: &[Ident]) -> Container {
    match (container, name) {
        (Container::Database(database), [schema]) => table::schema(&SchemaPath {
            database: database.clone(),
            schema: Schema(schema.clone()),
        }),
        _ => container.clone(),
    }
}

fn kind(place: &Container) -> &'static str {
    match place {
        Container::Database(_) => "DATABASE",
        Container::Schema(_) => "SCHEMA",
    }
}

/// The tags that are set on each of some containers itself
/// (`/sql-reference/functions/tag_references`: those above count too, with another `LEVEL`).
async fn tags(sessions: &Sessions, tag: &Tag, places: &[(Vec<Ident>, Container)]) -> Answer<Rows> {
    let one = |(at, (_, place)): (usize, &(Vec<Ident>, Container))| {
        let kind = kind(place);
        let name = place.full(&[]);
        format!(
            "SELECT {at} AS PLACE, TAG_DATABASE, TAG_SCHEMA, TAG_NAME, TAG_VALUE FROM \
             TABLE({}.INFORMATION_SCHEMA.TAG_REFERENCES({}, '{kind}')) WHERE LEVEL = '{kind}'",
            place.database().quoted(),
            literal(&name)
        )
    };
    let sql: Vec<String> = places.iter().enumerate().map(one).collect();
    match sessions.read(tag, &sql.join(" UNION ALL ")).await {
        Ok(rows) => Ok(rows),
        // Tags are not part of every edition.
        Err(PortError::Refused(failure))
            if is_unknown_here(&failure) || failure.message.contains("(Snowflake 002141") =>
        {
            Ok(Rows::default())
        }
        Err(error) => Err(error),
    }
}
