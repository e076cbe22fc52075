//! A bounded pool of sessions.
//!
//! - Sessions are opened when they are needed, the first one alone: N sessions that sign in at once
//!   with a wrong password would lock the user, so one refusal is the answer to all.
//! - Reads are asked again, with back-off, when the network failed. Writes are sent *once*; what is
//!   not known about them is `Unknown`. Only a session that was gone before the server looked at
//!   the statement is opened anew for it.
//! - Every statement carries the query tag `switchback/<run>/<release>/<step>`. The tag is a
//!   parameter of the session: free where the session is opened for it, one ALTER SESSION where an
//!   open session changes its step, and a session that has the tag already is preferred; so at most
//!   one for each session and step, not one for each statement. The driver has no parameters of a
//!   statement. [`Sessions::retag`] changes one while something else is waited for.
//! - Time limits hold on the server (`STATEMENT_TIMEOUT_IN_SECONDS`, `LOCK_TIMEOUT`:
//!   `/sql-reference/parameters`). Where this side stops waiting first, or the caller goes away, the
//!   statement is cancelled on the server.
//! - No session has a database of its own: a name that is not complete fails instead of meaning
//!   something by accident.
//!
//! May import `failure`, `ports`, `adapter::sql` and its siblings.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;
use snowflake_connector_rs::{Error, QueryCanceller, Session};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::connect::Connector;
pub use super::connect::{Limits, Tag};
use super::profile::Settings;
use super::rows;
use super::words::{self, Happened};
use crate::adapter::sql;
use crate::failure::{Failure, Outcome};
use crate::ports::{Answer, PortError, Rows};

/// How many sessions are made ready for a step: as many as most steps use at once.
const READY: usize = 4;

/// The pool; clones share it.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    connector: Connector,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Open>>,
    /// What the first sign-in came to; whoever signs in holds it until that is known.
    first: AsyncMutex<First>,
}

enum First {
    Untried,
    Accepted,
    Refused { message: String, next: Option<String> },
}

/// An open session and the tag it has.
struct Open {
    session: Session,
    tag: Tag,
}

impl Open {
    async fn retag(&mut self, tag: &Tag) -> Result<(), Error> {
        let set = format!("ALTER SESSION SET QUERY_TAG = {}", literal(tag.as_str()));
        run(&self.session, &set, 1).await?;
        self.tag = tag.clone();
        Ok(())
    }
}

/// How a statement ended, for whoever decides whether to send it again.
enum End {
    Done(Rows),
    SignInAgain(Error),
    Failed(Error),
}

impl Sessions {
    /// A pool that has opened nothing yet.
    pub fn new(settings: Settings, mut limits: Limits) -> Outcome<Self> {
        if settings.single_session() {
            limits.sessions = 1;
        }
        let inner = Inner {
            permits: Arc::new(Semaphore::new(limits.sessions.max(1))),
            idle: Mutex::new(Vec::new()),
            first: AsyncMutex::new(First::Untried),
            connector: Connector::new(settings, limits)?,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A pool of one session of its own, which sees what it wrote (another may see it a moment
    /// later); this pool, where signing in a second time is not possible.
    pub fn apart(&self) -> Outcome<Self> {
        let Connector { settings, limits, .. } = &self.inner.connector;
        if settings.single_session() {
            return Ok(self.clone());
        }
        Self::new(settings.clone(), Limits { sessions: 1, ..*limits })
    }

    /// Makes a few open sessions ready for statements of `tag`, so that the first ones do not wait for
    /// that. Where it fails, the statement does it.
    pub async fn retag(&self, tag: &Tag) {
        let mut retagging = JoinSet::new();
        {
            let mut idle = self.inner.idle();
            let ready = idle.iter().filter(|open| open.tag == *tag).count();
            let last = idle.len().saturating_sub(READY.saturating_sub(ready));
            for mut open in idle.split_off(last) {
                let (inner, tag) = (Arc::clone(&self.inner), tag.clone());
                retagging.spawn(async move {
                    if open.tag == tag || open.retag(&tag).await.is_ok() {
                        inner.idle().push(open);
                    }
                });
            }
        }
        while retagging.join_next().await.is_some() {}
    }

    /// Runs a statement that changes nothing, again if the network fails.
    pub async fn read(&self, tag: &Tag, sql: &str) -> Answer<Rows> {
        self.read_some(tag, sql, usize::MAX).await
    }

    /// As [`Sessions::read`], at most `limit` rows.
    pub async fn read_some(&self, tag: &Tag, sql: &str, limit: usize) -> Answer<Rows> {
        Arc::clone(&self.inner).read(tag, sql, limit).await
    }

    /// Runs independent statements that change nothing, in parallel; their answers in order.
    pub async fn read_all(&self, tag: &Tag, statements: Vec<String>) -> Answer<Vec<Rows>> {
        let answers = self.parallel(tag, statements, true).await;
        answers.into_iter().collect()
    }

    /// Reads in a session of its own that `setting` (a USE statement) has made ready; the session is
    /// not used for anything else.
    pub async fn read_in(&self, tag: &Tag, setting: &str, sql: &str, limit: usize) -> Answer<Rows> {
        let _permit = self.inner.permit().await?;
        let open = self.inner.open(tag).await?;
        let who = &self.inner.connector.who;
        for text in [setting, sql] {
            match run(&open.session, text, limit).await {
                Ok(rows) if text == sql => return Ok(rows),
                Ok(_) => {}
                Err(error) => return Err(PortError::Refused(words::refusal(&error, who))),
            }
        }
        Ok(Rows::default())
    }

    /// Sends a statement once.
    pub async fn write(&self, tag: &Tag, sql: &str) -> Answer<Rows> {
        Arc::clone(&self.inner).write(tag, sql).await
    }

    /// Sends independent statements, each once, in parallel; their answers in order. After one has
    /// failed no other is begun. See [`whole`].
    pub async fn run_all(&self, tag: &Tag, statements: Vec<String>) -> Vec<Answer<Rows>> {
        self.parallel(tag, statements, false).await
    }

    async fn parallel(&self, tag: &Tag, statements: Vec<String>, reads: bool) -> Vec<Answer<Rows>> {
        let mut answers: Vec<Answer<Rows>> = statements.iter().map(|_| Err(not_sent())).collect();
        let mut waiting = statements.into_iter().enumerate();
        let mut running = JoinSet::new();
        let mut failed = false;
        loop {
            while !failed && running.len() < self.inner.connector.limits.sessions.max(1) {
                let Some((at, sql)) = waiting.next() else {
                    break;
                };
                let (inner, tag) = (Arc::clone(&self.inner), tag.clone());
                running.spawn(async move {
                    let answer = if reads {
                        inner.read(&tag, &sql, usize::MAX).await
                    } else {
                        inner.write(&tag, &sql).await
                    };
                    (at, answer)
                });
            }
            match running.join_next().await {
                None => return answers,
                Some(Ok((at, answer))) => {
                    failed |= answer.is_err();
                    answers[at] = answer;
                }
                Some(Err(error)) => {
                    // A task that panicked: which one is not known, so all that are open are.
                    failed = true;
                    let lost = |answer: &&mut Answer<Rows>| answer.is_err();
                    for answer in answers.iter_mut().filter(lost) {
                        *answer = Err(PortError::Unknown(anyhow!("a session broke: {error}")));
                    }
                }
            }
        }
    }
}

fn not_sent() -> PortError {
    PortError::Refused(Failure::stopped("not sent, because a statement before it failed"))
}

/// The answers to statements that belong together as one: a batch of which some were done is not
/// refused, whatever the others came to.
pub fn whole(answers: Vec<Answer<Rows>>) -> Answer<Vec<Rows>> {
    let all = answers.len();
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    let mut rows = Vec::new();
    let mut first: Option<PortError> = None;
    for answer in answers {
        match answer {
            Ok(one) => rows.push(one),
            // An unknown outcome outweighs a refusal.
            Err(PortError::Unknown(error)) if !matches!(first, Some(PortError::Unknown(_))) => {
                first = Some(PortError::Unknown(error));
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    match first {
        None => Ok(rows),
        Some(PortError::Refused(failure)) if done > 0 => Err(PortError::Unknown(
            anyhow::Error::from(failure).context(format!("{done} of {all} statements were done")),
        )),
        Some(error) => Err(error),
    }
}

impl Inner {
    async fn permit(&self) -> Answer<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map_err(|error| PortError::Unknown(error.into()))
    }

    async fn read(self: Arc<Self>, tag: &Tag, sql: &str, limit: usize) -> Answer<Rows> {
        let _permit = self.permit().await?;
        let mut attempt = 1;
        loop {
            let error = match self.send(tag, sql, limit).await? {
                End::Done(rows) => return Ok(rows),
                End::SignInAgain(error) => error,
                // Whoever waited longer than the server lets a statement run waits in vain.
                End::Failed(error) if words::is_passing(&error) && !error.is_timeout() => error,
                End::Failed(error) => {
                    return Err(PortError::Refused(words::refusal(&error, &self.connector.who)));
                }
            };
            if attempt >= self.connector.limits.attempts {
                let what =
                    format!("Snowflake did not answer {attempt} times: {}", words::chain(&error));
                return Err(PortError::Refused(Failure::stopped(what)));
            }
            self.connector.back_off(attempt).await;
            attempt += 1;
        }
    }

    async fn write(self: Arc<Self>, tag: &Tag, sql: &str) -> Answer<Rows> {
        let _permit = self.permit().await?;
        let mut renewed = false;
        loop {
            match self.send(tag, sql, usize::MAX).await? {
                End::Done(rows) => return Ok(rows),
                End::SignInAgain(_) if !renewed => renewed = true,
                End::SignInAgain(error) | End::Failed(error) => {
                    let who = &self.connector.who;
                    return Err(match words::happened(&error, sql) {
                        Happened::Perhaps => PortError::Unknown(words::unknown(&error)),
                        _ => PortError::Refused(words::refusal(&error, who)),
                    });
                }
            }
        }
    }

    /// Sends a statement once. An `Err` came before it was sent.
    async fn send(&self, tag: &Tag, sql: &str, limit: usize) -> Answer<End> {
        let mut open = self.take(tag).await?;
        // A session that cannot is given up; a new one has the tag from the start.
        if open.tag != *tag && open.retag(tag).await.is_err() {
            open = self.open(tag).await?;
        }
        let end = match run(&open.session, sql, limit).await {
            Ok(rows) => End::Done(rows),
            Err(error) if words::happened(&error, sql) == Happened::SignInAgain => {
                self.idle().clear(); // the others are as old
                return Ok(End::SignInAgain(error));
            }
            Err(error) => End::Failed(error),
        };
        self.idle().push(open);
        Ok(end)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Open>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An open session, best one that has the tag.
    async fn take(&self, tag: &Tag) -> Answer<Open> {
        let found = {
            let mut idle = self.idle();
            let at = idle.iter().position(|open| open.tag == *tag);
            match at {
                Some(at) => Some(idle.swap_remove(at)),
                None => idle.pop(),
            }
        };
        match found {
            Some(open) => Ok(open),
            None => self.open(tag).await,
        }
    }

    async fn opened(&self, tag: &Tag) -> Outcome<Open> {
        Ok(Open { session: self.connector.sign_in(tag).await?, tag: tag.clone() })
    }

    /// Signs in. Nothing has been sent yet, so every failure is a refusal.
    async fn open(&self, tag: &Tag) -> Answer<Open> {
        let mut first = self.first.lock().await;
        if let First::Refused { message, next } = &*first {
            let mut failure = Failure::usage(message.clone());
            failure.next.clone_from(next);
            return Err(failure.into());
        }
        if matches!(*first, First::Accepted) {
            drop(first);
            return self.opened(tag).await.map_err(PortError::Refused);
        }
        match self.opened(tag).await {
            Ok(open) => {
                *first = First::Accepted;
                Ok(open)
            }
            Err(failure) => {
                *first =
                    First::Refused { message: failure.message.clone(), next: failure.next.clone() };
                Err(failure.into())
            }
        }
    }
}

/// A text literal as Snowflake reads it: a backslash escapes (`/sql-reference/data-types-text`).
#[must_use]
pub fn literal(text: &str) -> String {
    sql::literal(&text.replace('\\', "\\\\"))
}

/// Cancels a statement on the server unless it ended.
struct CancelOnDrop(Option<QueryCanceller>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let Some(canceller) = self.0.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { canceller.cancel().await });
        }
    }
}

async fn run(session: &Session, sql: &str, limit: usize) -> Result<Rows, Error> {
    let handle = session.query_handle(sql.to_owned())?;
    let canceller = handle.canceller();
    let mut guard = CancelOnDrop(Some(canceller.clone()));
    let result = match handle.execute().await {
        Ok(cursor) => rows::collect(cursor, limit).await,
        Err(error) => {
            if error.is_timeout() {
                // It may still run. Whether this reaches the server changes nothing for the caller.
                let _ = canceller.cancel().await;
            }
            Err(error)
        }
    };
    guard.0 = None;
    result
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
