//! Effects carried out.
//!
//! Invariants: nothing is done under a token that is no longer the lease's; the SQL effects of a
//! step are one transaction, in which the token is tested; nothing is dropped but what carries our
//! stamp or our marker, and only if nothing outside depends on it.
//! May import `domain`, `failure`, `ports` and this adapter's files.

use std::collections::BTreeSet;

use super::clone::{self, Copying};
use super::session::Fresh;
use super::warehouse::Postgres;
use super::{lease, outside, sql, stamp, words};
use crate::adapter::sql::identifier;
use crate::domain::name::{ReleaseId, SlotName};
use crate::domain::plan::{Carried, Effect};
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, Event, PortError, Token, Under};

/// Effects that are carried out together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    Copies,
    Access,
    Guards,
    Texts,
    References,
    Alone,
}

fn kin(effect: &Effect) -> Kin {
    match effect {
        Effect::Carry { what: Carried::Content, .. } => Kin::Copies,
        Effect::Carry { what: Carried::Grants, .. } => Kin::Access,
        Effect::Guard { .. } => Kin::Guards,
        Effect::Sql { .. } => Kin::Texts,
        Effect::Relink { .. } => Kin::References,
        _ => Kin::Alone,
    }
}

impl Postgres {
    pub(super) async fn perform_all(
        &self,
        effects: &[Effect],
        under: &Under,
    ) -> Answer<Vec<String>> {
        if matches!(under.step.as_str(), "swap" | "swap-back") {
            return self.cut_over(effects, under).await;
        }
        if under.step == "clone" {
            self.claim_slots(under.fence).await?;
        }
        if under.step == "seal" {
            self.refuse_bare_tables(effects).await?;
        }
        if under.step == "sync-grants" {
            self.refuse_what_stays_bound().await?;
        }
        let mut notes = Vec::new();
        for group in effects.chunk_by(|one, other| kin(one) == kin(other) && kin(one) != Kin::Alone)
        {
            match kin(&group[0]) {
                Kin::Copies => notes.extend(self.copy(group).await?),
                Kin::Access => notes.extend(self.carry_access(group, under.fence).await?),
                Kin::Guards => self.keep_writers_out(under.fence).await?,
                Kin::Texts => self.run_texts(group, under.fence).await?,
                Kin::References => {
                    // Before the gates, to which an empty table is just one that was emptied.
                    self.refuse_bare_tables(group).await?;
                    notes.extend(self.refuse_references(group).await?);
                }
                Kin::Alone => self.perform_one(&group[0], under.fence).await?,
            }
        }
        Ok(notes)
    }

    async fn perform_one(&self, effect: &Effect, fence: Token) -> Answer<()> {
        match effect {
            Effect::RemoveSlot { slot, release } => self.remove(slot, *release, fence).await,
            Effect::Inspect { .. } => Ok(()),
            other => Err(PortError::Refused(Failure::new(
                Kind::Unexpected,
                format!("this is not PostgreSQL's to do: {other}"),
            ))),
        }
    }

    /// Copies all slots of a step together: they are one moment, and refer to each other.
    async fn copy(&self, group: &[Effect]) -> Answer<Vec<String>> {
        let pairs: Vec<(String, String)> = group
            .iter()
            .filter_map(|effect| match effect {
                Effect::Carry { from, to, .. } => Some((from.0.clone(), to.0.clone())),
                _ => None,
            })
            .collect();
        let connector = self.connector();
        let rebuilt = self.rebuilt.borrow().clone();
        let copying = Copying {
            connect: &|| connector.opening(),
            pairs: &pairs,
            without_rows: &rebuilt,
            marker: stamp::MARKER,
            jobs: self.settings.threads.max(2),
        };
        let tell = |done, of| {
            if let Some(observer) = &self.observer {
                observer.event(Event::Copied { done, of });
            }
        };
        let copied = clone::copy(&copying, &tell).await?;
        let ours = |(_, name): &(String, String)| name == stamp::TABLE;
        self.copied.replace(copied.rows.into_iter().filter(|(table, _)| !ours(table)).collect());
        Ok(copied.notes)
    }

    /// Writes down which schemas are this environment's, for others to stay away from.
    async fn claim_slots(&self, fence: Token) -> Answer<()> {
        let doing = "writing down which schemas are deployed to";
        let no = |error| words::refused(doing, &error);
        let lives = self.lives();
        let mut fresh = self.sessions.fresh().await?;
        let tx = fresh.begin(doing).await?;
        lease::fence(&tx, self.environment(), fence).await?;
        let sql = "UPDATE switchback.leases SET slots = $2 WHERE environment = $1";
        tx.execute(sql, &[&self.environment(), &lives]).await.map_err(no)?;
        tx.commit().await.map_err(|error| words::uncertain(doing, error))
    }

    async fn run_texts(&self, group: &[Effect], fence: Token) -> Answer<()> {
        let mut fresh = self.sessions.fresh().await?;
        let (pid, since) = (fresh.pid, fresh.since.clone());
        let mut doing = "beginning a transaction".to_owned();
        let tx = fresh.begin(&doing).await?;
        lease::fence(&tx, self.environment(), fence).await?;
        for effect in group {
            if let Effect::Sql { slot, text } = effect {
                doing = format!("changing the schema {slot}");
                tx.batch_execute(text).await.map_err(|error| words::refused(&doing, &error))?;
            }
        }
        match tx.commit().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.sessions.settled(&doing, error, pid, &since).await),
        }
    }

    /// Refuses what the swap would refuse, before the first step that changes anything does.
    async fn refuse_what_stays_bound(&self) -> Answer<()> {
        let client = self.sessions.reading().await?;
        let bound = outside::capture(&client, &self.lives()).await?;
        outside::refuse(bound.refusals())
    }

    /// Refuses a build in which a table came without rows and was not made anew after all.
    async fn refuse_bare_tables(&self, effects: &[Effect]) -> Answer<()> {
        let slots: BTreeSet<&str> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Sql { slot, .. } | Effect::Relink { slot, .. } => Some(slot.as_str()),
                _ => None,
            })
            .collect();
        let slots: Vec<&str> = slots.into_iter().collect();
        let doing = "looking for tables without rows";
        let found = self.sessions.ask(doing, sql::BARE, &[&slots, &clone::BARE]).await?;
        if found.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = found.iter().map(|row| row.get(0)).collect();
        Err(PortError::Refused(
            Failure::stopped(format!(
                "dbt was to make these tables anew, so they were copied without their rows, and it \
                 did not:\n  {}",
                names.join("\n  ")
            ))
            .next(
                "see in dbt's log why they were left out; with `--select '*'` in the dbt command all \
                 rows are copied",
            ),
        ))
    }

    /// Refuses a build that refers to live: after the swap that would be what was displaced.
    async fn refuse_references(&self, group: &[Effect]) -> Answer<Vec<String>> {
        let (mut builds, mut lives) = (Vec::new(), BTreeSet::new());
        for effect in group {
            if let Effect::Relink { slot, names } = effect {
                builds.push(slot.0.clone());
                lives.extend(names.iter().map(|(live, _)| live.0.clone()));
            }
        }
        let lives: Vec<String> = lives.into_iter().collect();
        let client = self.sessions.connector.connect().await?;
        let found = clone::crossing(&client, &builds, &lives).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        Err(PortError::Refused(
            Failure::stopped(format!(
                "the build refers to production, and would refer to what is displaced once it is \
                 live:\n  {}",
                found.join("\n  ")
            ))
            .next(
                "let what is named above use `ref` or the target's schema instead of production's \
                 name, and run this again",
            ),
        ))
    }

    /// Drops a slot that holds that release, or a copy of ours that was never stamped.
    async fn remove(&self, slot: &SlotName, release: ReleaseId, fence: Token) -> Answer<()> {
        let doing = format!("dropping the schema {slot}");
        let no = |error| words::refused(&doing, &error);
        let mut fresh: Fresh = self.sessions.fresh().await?;
        let (pid, since) = (fresh.pid, fresh.since.clone());
        let tx = fresh.begin(&doing).await?;
        lease::fence(&tx, self.environment(), fence).await?;
        let names = vec![slot.0.clone()];
        let found = tx.query(sql::SCHEMAS, &[&names, &stamp::TABLE, &stamp::MARKER]).await;
        let found = found.map_err(no)?;
        let Some(row) = found.iter().find(|row| row.get::<_, String>(0) == slot.0) else {
            return Ok(());
        };
        let (identity, stamped, marked): (String, bool, bool) =
            (row.get(1), row.get(2), row.get(3));
        let mut ours = marked;
        if stamped {
            let sql = stamp::read(&[slot.as_str()]);
            let row = tx.query_opt(sql.as_str(), &[]).await.map_err(no)?;
            let text = |at| row.as_ref().and_then(|row| row.get::<_, Option<&str>>(at));
            let stamp = stamp::parse([text(1), text(2), text(3), text(4)]);
            let own = stamp.filter(|stamp| stamp.identity.as_str() == identity);
            ours = match own {
                Some(stamp) => stamp.release == release && text(5) == Some(self.environment()),
                None => marked,
            };
        }
        if !ours {
            return Err(PortError::Refused(Failure::stopped(format!(
                "the schema {slot} does not hold {release} any more, so it is not dropped"
            ))));
        }
        let rows = tx.query(&format!("SELECT '{identity}'::oid"), &[]).await.map_err(no)?;
        let oid: u32 = rows.first().map_or(0, |row| row.get(0));
        let dependents = tx.query(sql::DEPENDENTS, &[&oid]).await.map_err(no)?;
        if !dependents.is_empty() {
            let names: Vec<String> = dependents.iter().map(|row| row.get(0)).collect();
            return Err(PortError::Refused(
                Failure::stopped(format!(
                    "the schema {slot} is not dropped, because what is outside depends on it:\n  {}",
                    names.join("\n  ")
                ))
                .next("make them depend on production instead, then run `switchback prune`"),
            ));
        }
        let text = format!("DROP SCHEMA {} CASCADE", identifier(slot.as_str()));
        tx.batch_execute(&text).await.map_err(no)?;
        match tx.commit().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.sessions.settled(&doing, error, pid, &since).await),
        }
    }
}
