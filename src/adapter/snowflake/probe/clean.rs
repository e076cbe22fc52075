//! Drops what the probe made, and looks whether it is gone.
//!
//! Only names that this probe noted before it created them are dropped; each begins with its own
//! random prefix. `DROP … IF EXISTS` of such a name may be sent again: nothing else can have it.
//!
//! May import its siblings.

use std::collections::BTreeSet;
use std::time::Duration;

use super::lab::{Lab, Made};
use super::site::column;
use crate::adapter::snowflake::session::literal;

/// How often a drop that was not answered is sent.
const ATTEMPTS: u32 = 3;

impl Lab<'_> {
    /// Drops what an experiment made: everything noted from position `from` on.
    pub(super) async fn tidy(&self, from: usize) {
        // They stay noted until they are dropped: this future may be given up half-way.
        let mut mine = self.made.borrow().get(from..).unwrap_or_default().to_vec();
        let left = self.drop_all(&mut mine).await;
        let mut made = self.made.borrow_mut();
        made.truncate(from);
        made.extend(left); // tried again at the end
    }

    /// Drops everything. What is left is named with the statement that drops it.
    pub(super) async fn clean(&self) -> Vec<String> {
        self.outside("clean-up");
        // A statement that was on its way when the probe was interrupted may still create something.
        let rounds = if self.busy.get() { 4 } else { 1 };
        let mut all = std::mem::take(&mut *self.made.borrow_mut());
        let names = all.clone();
        let mut left = Vec::new();
        for round in 0..rounds {
            if round > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                all.clone_from(&names);
            }
            left = self.drop_all(&mut all).await;
        }
        let mut statements: BTreeSet<String> = left.iter().map(dropping).collect();
        statements.extend(self.still_there(&names).await.iter().map(dropping));
        // Databases take their schemas along, and roles go last.
        let mut statements: Vec<String> = statements.into_iter().collect();
        statements.sort_by_key(|sql| (sql.contains("ROLE"), sql.contains("SCHEMA")));
        statements
    }

    /// Drops; returns what could not be dropped.
    async fn drop_all(&self, made: &mut Vec<Made>) -> Vec<Made> {
        let mut left = Vec::new();
        // The newest first, roles last: what they own goes with its container.
        made.sort_by_key(|one| one.kind == "ROLE");
        let (mut containers, roles): (Vec<Made>, Vec<Made>) =
            made.drain(..).partition(|one| one.kind != "ROLE");
        containers.reverse();
        for one in containers.into_iter().chain(roles) {
            if !self.drop_one(&one).await {
                left.push(one);
            }
        }
        left
    }

    async fn drop_one(&self, one: &Made) -> bool {
        let sql = dropping(one);
        if !one.name.starts_with(self.names.prefix()) {
            return false; // nothing of the kind is ever noted
        }
        for _ in 0..ATTEMPTS {
            let answer = self.sessions.write(&self.tag, &sql).await;
            self.note(&sql, &answer);
            match answer {
                Ok(_) => return true,
                Err(crate::ports::PortError::Refused(_)) => return self.is_gone(one).await,
                Err(crate::ports::PortError::Unknown(_)) => {}
            }
        }
        false
    }

    /// Whether a refused drop had nothing to do: a schema went with its database, say.
    async fn is_gone(&self, one: &Made) -> bool {
        self.still_there(std::slice::from_ref(one)).await.is_empty()
    }

    /// Which of these SHOW still lists. What cannot be asked counts as there, unless it is in a
    /// database that is gone.
    async fn still_there(&self, made: &[Made]) -> Vec<Made> {
        let prefix = literal(self.names.prefix());
        let mut there = Vec::new();
        for kind in ["DATABASE", "SCHEMA", "ROLE"] {
            let mine: Vec<&Made> = made.iter().filter(|one| one.kind == kind).collect();
            if mine.is_empty() {
                continue;
            }
            let sql = match kind {
                "DATABASE" => format!("SHOW DATABASES STARTS WITH {prefix}"),
                "ROLE" => format!("SHOW ROLES STARTS WITH {prefix}"),
                _ => {
                    let home = self.home.borrow().clone();
                    let Ok(home) = home else { continue };
                    if home.as_str().starts_with(self.names.prefix()) {
                        continue; // its schemas are gone with it, or it is named itself
                    }
                    format!("SHOW SCHEMAS IN DATABASE {} STARTS WITH {prefix}", home.quoted())
                }
            };
            match self.sessions.read(&self.tag, &sql).await {
                Ok(rows) => {
                    let names: BTreeSet<String> =
                        column(&rows, "name").into_iter().flatten().collect();
                    let listed = mine.into_iter().filter(|one| names.contains(&one.name));
                    there.extend(listed.cloned());
                }
                Err(_) => there.extend(mine.into_iter().cloned()),
            }
        }
        there
    }
}

fn dropping(one: &Made) -> String {
    format!("DROP {} IF EXISTS {}", one.kind, one.path)
}
