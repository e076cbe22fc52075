//! Where experiments are done: scratch containers, every statement written down, every refusal
//! kept as a reason.
//!
//! Invariants: what is created is noted before the statement is sent, so that nothing is forgotten
//! when the connection is lost; every name begins with this probe's own prefix; nothing is created
//! over something else (no OR REPLACE of containers). Statements go one after the other under one
//! tag, so they share one session, and what USE set holds for the next statement.
//!
//! May import `ports` and its siblings.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde::Serialize;

use super::ProbeNames;
use super::catalogue::FACTS;
use super::fact::{Experiment, Fact, Finding, Level};
use super::obstacle::{Obstacle, Step};
use super::site::{Site, column};
use crate::adapter::snowflake::ident::{Database, Ident, Schema, SchemaPath};
use crate::adapter::snowflake::session::{Sessions, Tag};
use crate::ports::{Answer, PortError, Rows};

/// A statement and how it ended.
#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    /// The statement.
    pub sql: String,
    /// `done`, or Snowflake's words.
    pub outcome: String,
}

/// Something that must go when the probe ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// `DATABASE`, `SCHEMA` or `ROLE`.
    pub(super) kind: &'static str,
    /// Its name as it is stored, without its database.
    pub(super) name: String,
    /// Its complete name, for SQL.
    pub(super) path: String,
}

/// A role to grant things to.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// Its name as it is stored.
    pub(super) name: Ident,
    /// Whether this probe created it, so that it may be granted to our own role.
    pub(super) ours: bool,
}

/// Everything an experiment needs.
pub(super) struct Lab<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) names: ProbeNames,
    pub(super) tag: Tag,
    /// Where scratch schemas stand.
    pub(super) home: RefCell<Result<Database, Obstacle>>,
    /// Whether databases can be created; why not.
    pub(super) databases: RefCell<Result<(), Obstacle>>,
    pub(super) reader: RefCell<Result<Reader, Obstacle>>,
    /// Our own role.
    pub(super) role: RefCell<Option<Ident>>,
    /// How many days a container keeps its history unless told otherwise.
    pub(super) retention: Cell<u32>,
    pub(super) made: RefCell<Vec<Made>>,
    pub(super) stopped: Cell<bool>,
    pub(super) busy: Cell<bool>,
    pub(super) findings: RefCell<Vec<Finding>>,
    pub(super) ran: RefCell<BTreeMap<String, Vec<Ran>>>,
    now: RefCell<(String, Option<(Experiment, Level)>)>,
    count: Cell<u32>,
}

impl<'a> Lab<'a> {
    pub(super) fn new(sessions: &'a Sessions, names: ProbeNames) -> Self {
        let unknown = || Obstacle::new("the account was not asked");
        Self {
            sessions,
            tag: Tag::new("probe", names.prefix(), "doctor"),
            names,
            home: RefCell::new(Err(unknown())),
            databases: RefCell::new(Err(unknown())),
            reader: RefCell::new(Err(unknown())),
            role: RefCell::new(None),
            retention: Cell::new(1),
            made: RefCell::default(),
            stopped: Cell::new(false),
            busy: Cell::new(false),
            findings: RefCell::default(),
            ran: RefCell::default(),
            now: RefCell::new(("set-up".to_owned(), None)),
            count: Cell::new(0),
        }
    }

    /// From here on statements belong to this experiment.
    pub(super) fn begin(&self, experiment: Experiment, level: Level) {
        self.now.replace((group(experiment, level), Some((experiment, level))));
    }

    /// From here on statements belong to no experiment.
    pub(super) fn outside(&self, what: &str) {
        self.now.replace((what.to_owned(), None));
    }

    // -- statements

    /// Sends a statement, once.
    pub(super) async fn run(&self, sql: &str) -> Step<Rows> {
        if self.stopped.get() {
            return Err(Obstacle::interrupted());
        }
        self.busy.set(true);
        let answer = self.sessions.write(&self.tag, sql).await;
        self.busy.set(false);
        self.note(sql, &answer);
        answer.map_err(|error| Obstacle::of(error).at(sql))
    }

    /// Sends a statement that the account may refuse for what it is; a missing privilege, object
    /// or warehouse says nothing about the fact and ends the experiment.
    pub(super) async fn attempt(&self, sql: &str) -> Step<Result<Rows, Obstacle>> {
        judged(self.run(sql).await)
    }

    /// Sends a statement that creates something; that is noted first, and forgotten again only if
    /// the statement certainly did nothing.
    pub(super) async fn make(&self, made: Made, sql: &str) -> Step<Rows> {
        self.made.borrow_mut().push(made.clone());
        let result = self.run(sql).await;
        if result.as_ref().is_err_and(Obstacle::is_refusal) {
            self.made.borrow_mut().retain(|one| *one != made);
        }
        result
    }

    /// Creates a container by a statement that the account may refuse for what it is.
    pub(super) async fn attempt_to_make(
        &self,
        site: &Site,
        sql: &str,
    ) -> Step<Result<Rows, Obstacle>> {
        judged(self.make(site.made(), sql).await)
    }

    /// Sends statements one after the other.
    pub(super) async fn all(&self, statements: &[String]) -> Step<()> {
        for sql in statements {
            self.run(sql).await?;
        }
        Ok(())
    }

    /// Writes down how a statement ended.
    pub(super) fn note(&self, sql: &str, answer: &Answer<Rows>) {
        let outcome = match answer {
            Ok(_) => "done".to_owned(),
            Err(PortError::Refused(failure)) => failure.message.clone(),
            Err(PortError::Unknown(error)) => format!("{error:#}"),
        };
        let key = self.now.borrow().0.clone();
        let ran = Ran { sql: sql.to_owned(), outcome };
        self.ran.borrow_mut().entry(key).or_default().push(ran);
    }

    /// The first cell of the answer.
    pub(super) async fn cell(&self, sql: &str) -> Step<Option<String>> {
        let rows = self.run(sql).await?;
        Ok(rows.rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// The column V of a table or view of one row.
    pub(super) async fn value(&self, name: &str) -> Step<String> {
        let found = self.cell(&format!("SELECT V FROM {name}")).await?;
        found.ok_or_else(|| Obstacle::new(format!("{name} has no row")))
    }

    /// The time on the server, to the millisecond, between two pauses.
    pub(super) async fn moment(&self) -> Step<String> {
        self.pause().await?;
        let now = self.cell("SELECT CURRENT_TIMESTAMP()").await?.unwrap_or_default();
        self.pause().await?;
        let to_the_millisecond = now.get(..23).filter(|text| text.contains('.'));
        let text = to_the_millisecond.or(now.get(..19));
        let text = text.ok_or_else(|| Obstacle::new(format!("`{now}` is no time")))?;
        Ok(format!("{text}Z"))
    }

    /// Lets the server's clock move on.
    pub(super) async fn pause(&self) -> Step<()> {
        let milliseconds = self.names.pause.as_millis();
        self.run(&format!("SELECT SYSTEM$WAIT({milliseconds}, 'MILLISECONDS')")).await.map(drop)
    }

    // -- findings

    /// The facts that the experiment at hand settles.
    fn here(&self) -> Option<(Experiment, Level)> {
        self.now.borrow().1
    }

    fn fact(&self, id: &str) -> Option<(&'static Fact, Level)> {
        let (experiment, level) = self.here()?;
        let mut facts = FACTS.iter();
        let fact = facts.find(|fact| fact.id == id && fact.levels.contains(&level))?;
        debug_assert_eq!(fact.experiment, experiment, "{id}");
        Some((fact, level))
    }

    /// Something was seen.
    pub(super) fn saw(&self, id: &str, seen: impl Into<String>) {
        self.noticed(id, seen, None);
    }

    /// Something was seen, and there is more to say.
    pub(super) fn noticed(&self, id: &str, seen: impl Into<String>, note: Option<String>) {
        if let Some((fact, level)) = self.fact(id) {
            self.findings.borrow_mut().push(Finding::seen(fact, level, seen.into(), note));
        }
    }

    /// A part of an experiment that was prevented, while the rest goes on.
    pub(super) fn prevented(&self, id: &str, obstacle: &Obstacle) {
        if let Some((fact, level)) = self.fact(id) {
            let finding = Finding::unsettled(fact, level, obstacle.to_string());
            self.findings.borrow_mut().push(finding);
        }
    }

    // -- containers

    /// A name of this probe's own.
    pub(super) fn name(&self, what: &str) -> Step<Ident> {
        self.count.set(self.count.get() + 1);
        let name = format!("{}_{}{what}", self.names.prefix(), self.count.get());
        Ident::verbatim(name).map_err(|error| Obstacle::new(error.to_string()))
    }

    /// A place for a container; nothing is created yet.
    pub(super) fn site(&self, level: Level) -> Step<Site> {
        let name = self.name("")?;
        Ok(match level {
            Level::Database => {
                self.databases.borrow().clone()?;
                Site::database(Database(name))
            }
            Level::Schema | Level::Anywhere => {
                let database = self.home.borrow().clone()?;
                Site::schema(SchemaPath { database, schema: Schema(name) })
            }
        })
    }

    /// Creates a container; a database gets the schema that objects stand in. `properties` are
    /// those of the container.
    pub(super) async fn create(&self, transient: bool, properties: &str, site: &Site) -> Step<()> {
        let word = if transient { "TRANSIENT " } else { "" };
        let sql = format!("CREATE {word}{} {}{properties}", site.kind, site.path);
        self.make(site.made(), &sql).await?;
        if site.level == Level::Database {
            self.run(&format!("CREATE SCHEMA {}", site.inside)).await?;
        }
        Ok(())
    }

    /// A new container with a table T whose only row has the value.
    pub(super) async fn filled(&self, level: Level, value: u32) -> Step<Site> {
        let site = self.site(level)?;
        self.create(false, "", &site).await?;
        self.table(&site, value).await?;
        Ok(site)
    }

    /// The table T with one row.
    pub(super) async fn table(&self, site: &Site, value: u32) -> Step<()> {
        let sql = format!("CREATE TABLE {} AS SELECT {value} AS V", site.at("T"));
        self.run(&sql).await.map(drop)
    }

    /// A plain clone.
    pub(super) async fn clone_of(&self, source: &Site) -> Step<Site> {
        let clone = self.site(source.level)?;
        self.make(clone.made(), &source.cloning(&clone, "")).await?;
        Ok(clone)
    }

    /// The container's row in SHOW, column by column.
    pub(super) async fn shown(&self, site: &Site) -> Step<BTreeMap<String, String>> {
        let rows = self.run(&site.show()).await?;
        let names = column(&rows, "name");
        let at = names.iter().position(|name| name.as_deref() == Some(site.name.as_str()));
        let at = at.ok_or_else(|| Obstacle::new(format!("SHOW does not list {}", site.path)))?;
        let cells = rows.columns.iter().zip(&rows.rows[at]);
        Ok(cells
            .map(|(column, cell)| (column.to_lowercase(), cell.clone().unwrap_or_default()))
            .collect())
    }

    /// The role to grant things to.
    pub(super) fn reader(&self) -> Step<Reader> {
        self.reader.borrow().clone()
    }

    /// A role that ours can become, so that what it owns can be swapped by us.
    pub(super) async fn subordinate(&self) -> Step<Ident> {
        let reader = self.reader()?;
        let role = self.role.borrow().clone();
        if let Some(role) = role.filter(|_| reader.ours) {
            let sql = format!("GRANT ROLE {} TO ROLE {}", reader.name.quoted(), role.quoted());
            self.run(&sql).await?;
        }
        Ok(reader.name)
    }
}

fn judged(result: Step<Rows>) -> Step<Result<Rows, Obstacle>> {
    match result {
        Ok(rows) => Ok(Ok(rows)),
        Err(obstacle) if obstacle.is_verdict() => Ok(Err(obstacle)),
        Err(obstacle) => Err(obstacle),
    }
}

/// The name under which an experiment's statements are reported.
#[must_use]
pub(super) fn group(experiment: Experiment, level: Level) -> String {
    match level {
        Level::Database => format!("{} (databases)", experiment.title()),
        Level::Schema => format!("{} (schemas)", experiment.title()),
        Level::Anywhere => experiment.title().to_owned(),
    }
}
