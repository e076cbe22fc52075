//! Effects carried out.
//!
//! Independent statements of several slots run in parallel, those of one slot in their order. A
//! statement that changes something is sent once; what is not known about it is for the engine to
//! settle by stamps. What an interrupted run has renamed already is left alone.
//!
//! May import `domain`, `ports` and its siblings.

use std::collections::BTreeMap;

use super::carry::Policy;
use super::grants::Container;
use super::relink::Rewrite;
use super::session::{Tag, whole};
use super::unit::{container, quoted, slot as slot_of};
use super::warehouse::Snowflake;
use super::{carry, ledger, look, relinking, stamp};
use crate::domain::name::{Identity, ReleaseId, SlotName};
use crate::domain::plan::{Carried, Effect, Verb};
use crate::domain::slot::Content;
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, PortError, Rows, Under};

impl Snowflake {
    pub(super) async fn perform_all(
        &self,
        effects: &[Effect],
        under: &Under,
    ) -> Answer<Vec<String>> {
        let tag = self.begin(under);
        let mut notes = Vec::new();
        let mut at = 0;
        while let Some(effect) = effects.get(at) {
            if let Effect::Sql { .. } = effect {
                let rest = &effects[at..];
                let many = rest.iter().take_while(|one| matches!(one, Effect::Sql { .. })).count();
                self.statements(&rest[..many], &rest[many..], under, &tag).await?;
                at += many;
                continue;
            }
            notes.extend(self.perform_one(effect, under, &tag).await?);
            at += 1;
        }
        Ok(notes)
    }

    async fn perform_one(&self, effect: &Effect, under: &Under, tag: &Tag) -> Answer<Vec<String>> {
        match effect {
            Effect::MoveSlot { from, to } => self.rename(from, to, tag).await,
            Effect::RemoveSlot { slot, release } => self.remove(slot, *release, tag).await,
            Effect::Require { slot, identity } => {
                let found = self.identity(slot, tag).await?;
                if found.as_ref() == Some(identity) {
                    return Ok(Vec::new());
                }
                Err(Failure::stopped(format!(
                    "{slot} is not the container any more that it was: created {}, not {identity}",
                    found.map_or("never".to_owned(), |identity| identity.to_string())
                ))
                .into())
            }
            Effect::Relink { slot, names } => {
                let names = rewrites(names)?;
                let is_live = self.live_slots().contains(slot);
                let (slot, allowed) = (named(slot)?, &self.settings.allowed);
                relinking::relink(&self.sessions, tag, &slot, &names, is_live, allowed).await
            }
            Effect::Carry { what, from, to } => {
                let (from, to) = (named(from)?, named(to)?);
                let policy = &Policy {
                    declared: self.declared.borrow().clone(),
                    past: under.verb == Verb::Rollback,
                    ..self.settings.policy.clone()
                };
                let sessions = &self.sessions;
                match what {
                    Carried::Settings => carry::settings(sessions, tag, &from, &to).await,
                    Carried::Grants => carry::grants(sessions, tag, &from, &to, policy).await,
                    Carried::Tasks => carry::tasks(sessions, tag, &from, &to).await,
                    Carried::Objects => {
                        let objects = carry::objects(sessions, tag, &from, &to, policy);
                        let (notes, now) = tokio::join!(objects, self.now(tag));
                        self.touched.borrow_mut().copy.get_or_insert(now?);
                        notes
                    }
                    Carried::Content => Err(not_ours(effect)),
                }
            }
            Effect::Inspect { .. } => Ok(Vec::new()),
            _ => Err(not_ours(effect)),
        }
    }

    /// Statements in a row: those of one slot in their order, those of several slots in parallel.
    async fn statements(
        &self,
        effects: &[Effect],
        behind: &[Effect],
        under: &Under,
        tag: &Tag,
    ) -> Answer<()> {
        let mut lanes: BTreeMap<&SlotName, Vec<&str>> = BTreeMap::new();
        for effect in effects {
            if let Effect::Sql { slot, text } = effect {
                lanes.entry(slot).or_default().push(text);
            }
        }
        let gone: Vec<&SlotName> = self.renamed_already(lanes.keys().copied(), behind, tag).await?;
        lanes.retain(|slot, _| !gone.contains(slot));
        let longest = lanes.values().map(Vec::len).max().unwrap_or_default();
        let row = |at: usize| -> Vec<(&SlotName, &str)> {
            lanes.iter().filter_map(|(slot, texts)| Some((*slot, *texts.get(at)?))).collect()
        };
        let mut seen = None;
        for at in 0..longest {
            let now = row(at);
            if asks_identity(&now) && seen.is_none() {
                seen = Some(self.seen(tag).await?);
            }
            let statements = filled(&now, under, seen.take().as_ref())?;
            let stamps = now.iter().filter(|(_, text)| text.contains(stamp::IDENTITY));
            self.stamped.borrow_mut().extend(stamps.map(|(slot, _)| (*slot).clone()));
            // What the next ones must know is asked meanwhile, unless these make the container.
            if asks_identity(&row(at + 1)) && now.iter().all(|(_, text)| stamp::makes_room(text)) {
                let (sent, found) = tokio::join!(self.send(statements, tag), self.seen(tag));
                sent?;
                seen = Some(found?);
            } else {
                self.send(statements, tag).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, mut statements: Vec<String>, tag: &Tag) -> Answer<()> {
        let sent: Answer<Vec<Rows>> = if statements.len() == 1 {
            let text = statements.remove(0);
            self.sessions.write(tag, &text).await.map(|rows| vec![rows])
        } else {
            whole(self.sessions.run_all(tag, statements).await)
        };
        match sent {
            Ok(_) => Ok(()),
            Err(error) if ledger::lost(&error) => {
                Err(Failure::new(Kind::Locked, "another run has taken the lease, before the swap")
                    .next("switchback status")
                    .into())
            }
            Err(error) => Err(error),
        }
    }

    /// Slots that a run before this one has given their archive's name already.
    async fn renamed_already<'a>(
        &self,
        slots: impl Iterator<Item = &'a SlotName>,
        behind: &[Effect],
        tag: &Tag,
    ) -> Answer<Vec<&'a SlotName>> {
        let moves: Vec<(&SlotName, &SlotName)> = behind
            .iter()
            .filter_map(|effect| match effect {
                Effect::MoveSlot { from, to } => Some((from, to)),
                _ => None,
            })
            .collect();
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let seen = self.seen(tag).await?;
        let is_moved = |slot: &&SlotName| {
            let to = moves.iter().find(|(from, _)| from == slot).map(|(_, to)| *to);
            !seen.contains_key(*slot) && to.is_some_and(|to| seen.contains_key(to))
        };
        Ok(slots.filter(is_moved).collect())
    }

    async fn seen(&self, tag: &Tag) -> Answer<BTreeMap<SlotName, look::Seen>> {
        let found = match self.unit() {
            super::unit::Unit::Database => {
                look::databases(&self.sessions, tag, &self.target.base.database).await?
            }
            super::unit::Unit::Schema => {
                look::schemas(&self.sessions, tag, &self.target.base.database).await?
            }
        };
        Ok(found.into_iter().map(|one| (slot_of(&one.container), one)).collect())
    }

    async fn identity(&self, slot: &SlotName, tag: &Tag) -> Answer<Option<Identity>> {
        Ok(self.seen(tag).await?.remove(slot).map(|one| one.identity))
    }

    async fn rename(&self, from: &SlotName, to: &SlotName, tag: &Tag) -> Answer<Vec<String>> {
        let seen = self.seen(tag).await?;
        if !seen.contains_key(from) && seen.contains_key(to) {
            return Ok(Vec::new());
        }
        let word = self.unit().word();
        let (old, new) = (quoted(&named(from)?), quoted(&named(to)?));
        let sql = format!("ALTER {word} {old} RENAME TO {new}");
        self.sessions.write(tag, &sql).await?;
        let mut stamped = self.stamped.borrow_mut();
        if stamped.remove(from) {
            stamped.insert(to.clone());
        }
        Ok(Vec::new())
    }

    /// Drops a container that is ours by its own stamp and holds that release, or that we were
    /// making and never stamped. Nothing else is ever dropped.
    async fn remove(&self, slot: &SlotName, release: ReleaseId, tag: &Tag) -> Answer<Vec<String>> {
        let (observation, _) = self.look(tag).await?;
        let content = observation.content(slot);
        if *content == Content::Absent {
            return Ok(Vec::new());
        }
        let holds = match content.own_stamp() {
            Some(stamp) => stamp.release == release,
            None => content.is_ours(),
        };
        let is_live = self.live_slots().contains(slot);
        if !holds || is_live {
            return Err(Failure::stopped(format!(
                "{slot} does not hold {release} by its own stamp, so it is not dropped"
            ))
            .next("look at it; nothing without a stamp of Switchback's is ever dropped")
            .into());
        }
        let sql = format!("DROP {} {}", self.unit().word(), quoted(&named(slot)?));
        self.sessions.write(tag, &sql).await.map(|_| Vec::new())
    }

    /// Runs a query of the user's with the slot's names in reach, in a session of its own.
    pub(super) async fn query_in(&self, slot: &SlotName, sql: &str, limit: usize) -> Answer<Rows> {
        let one = named(slot)?;
        let tag = self.tag();
        let setting = match &one {
            Container::Database(database) => format!("USE DATABASE {}", database.quoted()),
            Container::Schema(path) => format!("USE SCHEMA {}", path.quoted()),
        };
        self.sessions.read_in(&tag, &setting, sql, limit).await
    }

    /// The server's time, as text.
    pub(super) async fn now(&self, tag: &Tag) -> Answer<String> {
        let rows = self.sessions.read(tag, "SELECT CURRENT_TIMESTAMP()").await?;
        let text = rows.rows.first().and_then(|row| row.first()).cloned().flatten();
        text.ok_or_else(|| Failure::stopped("Snowflake did not tell the time").into())
    }
}

fn asks_identity(statements: &[(&SlotName, &str)]) -> bool {
    statements.iter().any(|(_, text)| text.contains(stamp::IDENTITY))
}

/// Puts in what is known only now: the token, and when a container was created.
fn filled(
    statements: &[(&SlotName, &str)],
    under: &Under,
    seen: Option<&BTreeMap<SlotName, look::Seen>>,
) -> Answer<Vec<String>> {
    let one = |(slot, text): &(&SlotName, &str)| {
        let mut text = text.replace(ledger::TOKEN, &under.fence.0.to_string());
        if text.contains(stamp::IDENTITY) {
            let found = seen.and_then(|seen| seen.get(*slot)).ok_or_else(|| {
                Failure::stopped(format!("{slot} should be there to be stamped, but is not"))
            })?;
            text = text.replace(stamp::IDENTITY, found.identity.as_str());
        }
        Ok(text)
    };
    statements.iter().map(one).collect()
}

fn not_ours(effect: &Effect) -> PortError {
    Failure::new(Kind::Unexpected, format!("this is not Snowflake's to do: {effect}")).into()
}

pub(super) fn named(slot: &SlotName) -> Answer<Container> {
    container(slot).map_err(|bad| Failure::usage(bad.to_string()).into())
}

/// The rewrites that keep names from views.
pub(super) fn rewrites(names: &[(SlotName, Option<SlotName>)]) -> Answer<Vec<Rewrite>> {
    let one = |(from, to): &(SlotName, Option<SlotName>)| {
        let to = to.as_ref().map(named).transpose()?;
        match (named(from)?, to) {
            (Container::Database(database), None) => Ok(Rewrite::DropDatabase(database)),
            (Container::Schema(path), Some(Container::Schema(to))) => {
                Ok(Rewrite::ReplaceSchema(path, to.schema))
            }
            (Container::Schema(path), None) => Ok(Rewrite::DropSchema(path)),
            (from, _) => Err(Failure::new(
                Kind::Unexpected,
                format!("a name of {} cannot be replaced by that of a database", from.sql()),
            )
            .into()),
        }
    };
    names.iter().map(one).collect()
}
