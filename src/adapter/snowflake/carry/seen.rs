//! Reads everything about the grants on a container and in it.
//!
//! Statements, whatever the number of objects: nine, two for each schema (what holds for its future
//! and for all its objects is printed schema by schema only), two for each database role, and one
//! for each object that the one view for all cannot answer for.
//!
//! May import `failure`, `ports` and its siblings.

use std::collections::{BTreeMap, BTreeSet};

use super::privileges::{self, Key, Listed, Told};
use super::table::{self, is_unknown_here, lines, list, own_name, own_row, paths, schema};
use crate::adapter::snowflake::grants::{BadRow, Container, Grant, Grantee, Grants, Shown};
use crate::adapter::snowflake::ident::{Ident, SchemaPath};
use crate::adapter::snowflake::replay::Management;
use crate::adapter::snowflake::session::{Sessions, Tag};
use crate::failure::Failure;
use crate::ports::{Answer, PortError, Rows};

/// What was seen of one side.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The container.
    pub(super) container: Container,
    /// All grants, relative to it.
    pub(super) grants: Grants,
    /// The container's owner.
    pub(super) owner: Ident,
    /// Its schemas, or itself: owner and managed access. The key is relative to the container.
    pub(super) schemas: BTreeMap<Vec<Ident>, Management>,
    /// What there is: kind and, where it is known, owner.
    pub(super) objects: BTreeMap<Key, (String, Option<Ident>)>,
    /// The database's own roles.
    pub(super) roles: BTreeSet<Ident>,
    /// Who has them.
    pub(super) members: BTreeSet<(Ident, Grantee)>,
}

/// The first answers.
struct First {
    own: Rows,
    on: Rows,
    schemas: Rows,
    view: Rows,
    routines: Vec<Listed>,
    roles: BTreeSet<Ident>,
    relations: Vec<Listed>,
}

pub(super) fn bad(row: &BadRow) -> PortError {
    PortError::Refused(
        Failure::stopped(row.to_string()).next(
            "nothing was changed: revoke the grant, or report it with the output of SHOW GRANTS",
        ),
    )
}

/// Reads one side.
pub(super) async fn read(sessions: &Sessions, tag: &Tag, container: &Container) -> Answer<Seen> {
    let (first, inherited) =
        tokio::join!(first(sessions, tag, container), inherited(sessions, tag, container));
    let (first, inherited) = (first?, inherited?);
    let (owner, schemas) = management(container, &first)?;
    let paths = schema_paths(container, &schemas);
    let mut told = privileges::read(container, &first.view, &first.roles, &first.routines)
        .map_err(|row| bad(&row))?;
    let mut grants = Grants::default();
    let on = privileges::quoted(first.on.clone(), &first.roles);
    grants.add(Shown::On, container, &on).map_err(|row| bad(&row))?;
    let listed = listed(&first, &schemas, container);
    let whole =
        tells_all(sessions, tag, (container, &told), &grants, (&listed, &first.roles)).await?;
    let asked = unanswered(&told, &listed, whole);
    told.grants.0.retain(|grant, _| match Key::of(&grant.on) {
        Some(key) => !asked.contains_key(&key),
        None => false, // the container's own, which SHOW has printed
    });
    grants.0.append(&mut told.grants.0);
    let mut seen = Seen {
        container: container.clone(),
        grants,
        owner,
        schemas,
        objects: BTreeMap::new(),
        roles: first.roles,
        members: BTreeSet::new(),
    };
    for one in listed {
        seen.objects.entry(one.key()).or_insert((one.kind, None));
    }
    for (key, (kind, owner)) in told.owned.into_iter().filter(|(key, _)| !key.name.is_empty()) {
        seen.objects.insert(key, (kind, Some(owner)));
    }
    more(sessions, tag, &mut seen, &paths, inherited, asked.into_values().collect()).await?;
    Ok(seen)
}

async fn first(sessions: &Sessions, tag: &Tag, container: &Container) -> Answer<First> {
    let (sql, database) = (container.sql(), container.database().quoted());
    let questions = vec![
        own_row(container),
        format!("SHOW GRANTS ON {sql}"),
        match container {
            Container::Database(_) => format!("SHOW SCHEMAS IN DATABASE {database}"),
            Container::Schema(_) => own_row(container),
        },
        privileges::question(container),
        format!("SHOW USER FUNCTIONS IN {sql}"),
        format!("SHOW PROCEDURES IN {sql}"),
        format!("SHOW DATABASE ROLES IN DATABASE {database}"),
    ];
    let answers = sessions.read_all(tag, questions).await?;
    let [own, on, schemas, view, functions, procedures, roles] =
        <[Rows; 7]>::try_from(answers).unwrap_or_default();
    let names = lines(&schemas).map(|line| line.ident("name"));
    let names: Vec<Ident> = names.collect::<Answer<_>>()?;
    let names: Vec<Ident> = names.into_iter().filter(|name| !table::is_system(name)).collect();
    let paths = paths(container, names.iter());
    let objects = list(sessions, tag, "OBJECTS", container, &paths, table::PAGE).await?;
    let mut routines = Vec::new();
    for (kind, rows) in [("FUNCTION", &functions), ("PROCEDURE", &procedures)] {
        routines.extend(privileges::routines(container, kind, rows).map_err(|row| bad(&row))?);
    }
    Ok(First {
        own,
        on,
        schemas,
        view,
        routines,
        roles: lines(&roles).map(|line| line.ident("name")).collect::<Answer<BTreeSet<_>>>()?,
        relations: privileges::relations(container, &objects),
    })
}

/// Owner and managed access of the container's schemas, and the container's owner.
fn management(
    container: &Container,
    first: &First,
) -> Answer<(Ident, BTreeMap<Vec<Ident>, Management>)> {
    let name = own_name(container);
    let own = lines(&first.own).find(|line| line.cell("name") == Some(name.as_str()));
    let gone = || {
        let what = container.sql();
        PortError::Refused(Failure::stopped(format!(
            "{what} is not there, or this role may not see it"
        )))
    };
    let owner = own.ok_or_else(gone)?.ident("owner")?;
    let mut found = BTreeMap::new();
    for line in lines(&first.schemas) {
        let schema = line.ident("name")?;
        let key = match container {
            Container::Database(_) => vec![schema.clone()],
            Container::Schema(_) => vec![],
        };
        // A LIKE pattern may fit other schemas; Snowflake's own has no owner.
        let other = key.is_empty() && schema != *name;
        if other || table::is_system(&schema) || line.text("owner").is_empty() {
            continue;
        }
        let managed = line.text("options").to_uppercase().contains("MANAGED ACCESS");
        found.insert(key, Management { managed, owner: line.ident("owner")? });
    }
    Ok((owner, found))
}

fn schema_paths(
    container: &Container,
    schemas: &BTreeMap<Vec<Ident>, Management>,
) -> Vec<SchemaPath> {
    paths(container, schemas.keys().filter_map(|key| key.first()))
}

/// Everything that SHOW lists: schemas, relations, functions, procedures.
fn listed(
    first: &First,
    schemas: &BTreeMap<Vec<Ident>, Management>,
    container: &Container,
) -> Vec<Listed> {
    let schema = |name: &Vec<Ident>| Listed {
        kind: "SCHEMA".to_owned(),
        name: name.clone(),
        arguments: None,
    };
    let mut all: Vec<Listed> = match container {
        Container::Database(_) => schemas.keys().map(schema).collect(),
        Container::Schema(_) => vec![],
    };
    all.extend(first.relations.iter().cloned());
    all.extend(first.routines.iter().cloned());
    all
}

/// How many objects stand for all where the view says nothing about the container.
const SAMPLE: usize = 3;

/// Whether the view lists the grants of everybody. Found out at the container, whose grants SHOW
/// has printed too; if the view does not speak of it, at a few objects that are asked for both ways.
async fn tells_all(
    sessions: &Sessions,
    tag: &Tag,
    (container, told): (&Container, &Told),
    shown: &Grants,
    (listed, roles): (&[Listed], &BTreeSet<Ident>),
) -> Answer<bool> {
    let own = |grant: &&Grant| Key::of(&grant.on).is_none();
    let speaks = told.owned.keys().any(|key| key.name.is_empty())
        || told.grants.0.keys().any(|grant| own(&grant));
    if speaks {
        return Ok(has_all(told, shown.0.keys().filter(own)));
    }
    let clear =
        |one: &&Listed| told.owned.contains_key(&one.key()) && !told.doubtful.contains(&one.key());
    let sample: Vec<&Listed> = listed.iter().filter(clear).take(SAMPLE).collect();
    let questions = sample.iter().map(|one| one.question(container)).collect();
    for rows in sessions.read_all(tag, questions).await? {
        let mut shown = Grants::default();
        let rows = privileges::quoted(rows, roles);
        shown.add(Shown::On, container, &rows).map_err(|row| bad(&row))?;
        if !has_all(told, shown.0.keys()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_all<'a>(told: &Told, mut shown: impl Iterator<Item = &'a Grant>) -> bool {
    // Where the container is doubtful, the view calls database roles roles, there and elsewhere.
    let disguised = told.doubtful.iter().any(|key| key.name.is_empty());
    shown.all(|grant| match grant.to {
        Grantee::Share(_) => true,
        Grantee::DatabaseRole(_) if disguised => true,
        _ => told.grants.0.contains_key(grant),
    })
}

/// What has to be asked for one by one.
fn unanswered(told: &Told, listed: &[Listed], whole: bool) -> BTreeMap<Key, Listed> {
    let unanswered =
        |key: &Key| !whole || !told.owned.contains_key(key) || told.doubtful.contains(key);
    let keys = listed.iter().map(|one| (one.key(), one.clone()));
    let mut asked: BTreeMap<Key, Listed> = keys.filter(|(key, _)| unanswered(key)).collect();
    // Kinds that no list has: the view knows what they are.
    let also = told.owned.keys().filter(|_| !whole);
    for key in told.doubtful.iter().chain(also).filter(|key| !key.name.is_empty()) {
        let kind = told.owned.get(key).map_or_else(|| key.kind().to_owned(), |own| own.0.clone());
        let (name, arguments) = (key.name.clone(), key.arguments.clone());
        asked.entry(key.clone()).or_insert(Listed { kind, name, arguments });
    }
    asked
}

/// Future and inherited grants, database roles, and what has to be asked for one by one.
async fn more(
    sessions: &Sessions,
    tag: &Tag,
    seen: &mut Seen,
    paths: &[SchemaPath],
    inherited: Option<Rows>,
    asked: Vec<Listed>,
) -> Answer<()> {
    let container = seen.container.clone();
    let mut places = vec![container.clone()];
    if matches!(container, Container::Database(_)) {
        places.extend(paths.iter().map(schema));
    }
    let mut questions: Vec<(Shown, String)> =
        places.iter().map(|place| (Shown::Future, future(place))).collect();
    if let Some(rows) = inherited {
        let rows = privileges::quoted(rows, &seen.roles);
        seen.grants.add(Shown::Inherited, &container, &rows).map_err(|row| bad(&row))?;
        let inside = places.iter().skip(1);
        questions.extend(inside.map(|place| (Shown::Inherited, show_inherited(place))));
    }
    questions.extend(asked.iter().map(|one| (Shown::On, one.question(&container))));
    let roles: Vec<Ident> = match container {
        Container::Database(_) => seen.roles.iter().cloned().collect(),
        Container::Schema(_) => vec![], // the roles are the database's, which stays
    };
    let database = container.database().quoted();
    let full = |role: &Ident| format!("DATABASE ROLE {database}.{}", role.quoted());
    let count = questions.len();
    let mut statements: Vec<String> = questions.iter().map(|(_, sql)| sql.clone()).collect();
    statements.extend(roles.iter().map(|role| format!("SHOW GRANTS OF {}", full(role))));
    let answers = sessions.read_all(tag, statements).await?;
    let answers: Vec<Rows> =
        answers.into_iter().map(|rows| privileges::quoted(rows, &seen.roles)).collect();
    for ((shown, _), rows) in questions.iter().zip(&answers) {
        seen.grants.add(*shown, &container, rows).map_err(|row| bad(&row))?;
    }
    for (one, rows) in asked.iter().zip(&answers[count - asked.len()..count]) {
        let owner =
            lines(rows).find(|line| line.text("privilege").eq_ignore_ascii_case("OWNERSHIP"));
        if let Some(owner) = owner {
            let owner = owner.ident("grantee_name")?;
            seen.objects.insert(one.key(), (one.kind.clone(), Some(owner)));
        }
    }
    for (role, rows) in roles.iter().zip(&answers[count..]) {
        members(seen, role, rows)?;
    }
    Ok(())
}

fn future(place: &Container) -> String {
    format!("SHOW FUTURE GRANTS IN {}", place.sql())
}

fn show_inherited(place: &Container) -> String {
    format!("SHOW INHERITED GRANTS IN {}", place.sql())
}

/// Inherited grants on the container; `None` where the account does not have them: they are opted
/// in to (`/user-guide/inherited-grants-intro`).
async fn inherited(sessions: &Sessions, tag: &Tag, container: &Container) -> Answer<Option<Rows>> {
    match sessions.read(tag, &show_inherited(container)).await {
        Ok(rows) => Ok(Some(rows)),
        Err(PortError::Refused(failure)) if is_unknown_here(&failure) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Who has a database role (`/sql-reference/sql/show-grants`, OF).
fn members(seen: &mut Seen, role: &Ident, rows: &Rows) -> Answer<()> {
    for line in lines(rows) {
        let text = line.text("grantee_name");
        let kind = line.text("granted_to").to_uppercase().replace('_', " ");
        let grantee = match kind.as_str() {
            "ROLE" => Grantee::Role(line.ident("grantee_name")?),
            "USER" => Grantee::User(line.ident("grantee_name")?),
            "SHARE" => Grantee::Share(text.to_owned()),
            "DATABASE ROLE" => match privileges::role(&seen.container, text) {
                Some(role) => Grantee::DatabaseRole(role),
                None => Grantee::Other(kind, text.to_owned()),
            },
            _ => Grantee::Other(kind, text.to_owned()),
        };
        seen.members.insert((role.clone(), grantee));
    }
    Ok(())
}
