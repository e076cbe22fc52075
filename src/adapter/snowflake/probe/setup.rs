//! What every experiment stands on: who we are, a database for scratch schemas, a role to grant
//! things to. Whatever cannot be had is a reason that the facts which need it are reported with.
//!
//! May import its siblings.

use std::fmt::Write;

use super::lab::{Lab, Made, Reader};
use super::obstacle::{Obstacle, Step};
use super::report::{About, withhold};
use super::site::column;
use crate::adapter::snowflake::ident::{Database, Ident};
use crate::adapter::snowflake::session::literal;

/// Prefix of every probe.
pub(super) const PREFIX: &str = "SWITCHBACK_PROBE_";

impl Lab<'_> {
    /// Asks who we are. An error means that nothing at all can be asked.
    pub(super) async fn introduce(&self) -> Step<About> {
        let sql = "SELECT CURRENT_VERSION(), CURRENT_REGION(), CURRENT_ACCOUNT(), CURRENT_USER(), \
                   CURRENT_ROLE(), CURRENT_WAREHOUSE()";
        let rows = self.run(sql).await?;
        let mut cells = rows.rows.into_iter().next().unwrap_or_default().into_iter();
        let mut next = || cells.next().flatten().unwrap_or_default();
        let mut about = About { version: next(), region: next(), ..About::default() };
        let (account, user, role, warehouse) = (next(), next(), next(), next());
        self.role.replace(Ident::verbatim(role.as_str()).ok());
        for (name, word) in
            [(account, "account"), (user, "user"), (role, "role"), (warehouse, "warehouse")]
        {
            withhold(&mut about.withheld, name, word);
        }
        Ok(about)
    }

    /// Finds or makes the database for scratch schemas.
    pub(super) async fn settle_home(&self) {
        let made = self.make_home().await;
        *self.databases.borrow_mut() = made.as_ref().map(|_| ()).map_err(Clone::clone);
        let fallback = self.names.database().cloned();
        let home = match (made, fallback) {
            (Ok(home), _) | (Err(_), Some(home)) => Ok(home),
            (Err(obstacle), None) => Err(obstacle),
        };
        *self.home.borrow_mut() = home;
        let home = self.home.borrow().clone();
        let Ok(home) = home else { return };
        let sql = format!("SHOW DATABASES STARTS WITH {}", literal(home.as_str()));
        if let Ok(rows) = self.run(&sql).await {
            let pairs = column(&rows, "name").into_iter().zip(column(&rows, "retention_time"));
            let own = pairs.into_iter().find(|pair| pair.0.as_deref() == Some(home.as_str()));
            let days = own.and_then(|pair| pair.1).and_then(|days| days.parse().ok());
            self.retention.set(days.unwrap_or(1));
        }
    }

    async fn make_home(&self) -> Step<Database> {
        let home = Database(self.name("_HOME")?);
        let path = home.quoted();
        let name = home.as_str().to_owned();
        let made = Made { kind: "DATABASE", name, path: path.clone() };
        self.make(made, &format!("CREATE DATABASE {path}")).await?;
        Ok(home)
    }

    /// Takes the role that was named, or makes one.
    pub(super) async fn settle_reader(&self) {
        let reader = match self.names.grantee() {
            Some(name) => Ok(Reader { name: name.clone(), ours: false }),
            None => self.new_role("READER").await.map(|name| Reader { name, ours: true }),
        };
        *self.reader.borrow_mut() = reader;
    }

    /// A role of this probe's own.
    pub(super) async fn new_role(&self, what: &str) -> Step<Ident> {
        let name = self.name(&format!("_{what}"))?;
        let path = name.quoted();
        let made = Made { kind: "ROLE", name: name.as_str().to_owned(), path: path.clone() };
        self.make(made, &format!("CREATE ROLE {path}")).await?;
        Ok(name)
    }

    /// Scratch databases of other probes: running now, or killed.
    pub(super) async fn others(&self) -> Vec<String> {
        let sql = format!("SHOW DATABASES STARTS WITH '{PREFIX}'");
        let Ok(rows) = self.run(&sql).await else {
            return Vec::new();
        };
        let names = column(&rows, "name").into_iter().flatten();
        names.filter(|name| !name.starts_with(self.names.prefix())).collect()
    }
}

/// Sixteen random hexadecimal digits, upper case: part of identifiers that need no quotes.
pub(super) fn random() -> Result<String, Obstacle> {
    let mut bytes = [0u8; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match got {
        Ok(count) if count == bytes.len() => {
            let mut text = String::new();
            for byte in bytes {
                let _ = write!(text, "{byte:02X}"); // writing to a String cannot fail
            }
            Ok(text)
        }
        Ok(_) => Err(Obstacle::new("the kernel gave too few random bytes")),
        Err(error) => Err(Obstacle::new(format!("the kernel gives no random bytes: {error}"))),
    }
}
