//! Signing in. Every session of ours is made here, so all have the same settings.
//!
//! Invariant: no session of ours has a search path but `pg_catalog`: every name we write is
//! qualified, and names that PostgreSQL prints for us are whole.
//!
//! May import `adapter::sql`, `failpoint`, `failure`, `ports` and its siblings.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::profile::{Settings, SslMode};
use super::{tls, words};
use crate::adapter::sql::{identifier, literal};
use crate::failpoint::wait;
use crate::failure::Outcome;
use crate::ports::{Answer, PortError};

/// A session that is being opened.
pub type NewClient<'a> = Pin<Box<dyn Future<Output = Answer<Client>> + 'a>>;

/// The name of our sessions in `pg_stat_activity`.
pub const APPLICATION: &str = "switchback";

/// How long a statement of ours waits for a lock, where it does not say otherwise.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens sessions.
#[derive(Clone)]
pub struct Connector {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    setup: String,
    retries: u32,
    place: String,
}

impl Connector {
    /// What a target asks for. Connects to nothing.
    pub fn new(settings: &Settings) -> Outcome<Self> {
        let mut config = Config::new();
        config
            .host(&settings.host)
            .port(settings.port)
            .user(&settings.user)
            .dbname(&settings.database)
            .application_name(APPLICATION)
            .connect_timeout(settings.connect_timeout)
            .keepalives(true)
            .keepalives_idle(settings.keepalives_idle.unwrap_or(Duration::from_secs(60)))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(6)
            .tcp_user_timeout(Duration::from_secs(120));
        if !settings.password.expose().is_empty() {
            config.password(settings.password.expose());
        }
        let socket = settings.host.starts_with('/');
        let mode = if socket { SslMode::Disable } else { settings.ssl_mode };
        config.ssl_mode(match mode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                tokio_postgres::config::SslMode::Require
            }
        });
        let tls = match mode {
            SslMode::Disable => None,
            _ => Some(tls::connector(settings)?),
        };
        Ok(Self {
            config,
            tls,
            setup: setup(settings.role.as_deref()),
            retries: settings.retries,
            place: settings.place(),
        })
    }

    /// Where it connects to, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Opens a session; one that was not answered is tried again.
    pub async fn connect(&self) -> Answer<Client> {
        let mut tries = 0;
        loop {
            match self.once().await {
                Ok(client) => return Ok(client),
                Err(error) if tries < self.retries && words::is_passing(&error) => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(500) * tries).await;
                }
                Err(error) => {
                    return Err(PortError::Refused(words::no_session(&self.place, &error)));
                }
            }
        }
    }

    /// The same, for those who are handed a function.
    #[must_use]
    pub fn opening(&self) -> NewClient<'_> {
        Box::pin(self.connect())
    }

    async fn once(&self) -> Result<Client, tokio_postgres::Error> {
        // The other half of a session runs by itself until the session's end; how it ended is
        // told to whoever asks the session next.
        let client = if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await?;
            tokio::spawn(async move { drop(connection.await) });
            client
        } else {
            let (client, connection) = self.config.connect(NoTls).await?;
            tokio::spawn(async move { drop(connection.await) });
            client
        };
        client.batch_execute(&self.setup).await?;
        Ok(client)
    }
}

/// What every session is told first: nothing that a role or a database has set may change what our
/// statements mean or how values are printed.
fn setup(role: Option<&str>) -> String {
    let role = role.map_or_else(String::new, |role| format!("SET ROLE {};\n", identifier(role)));
    let lock = literal(&format!("{}ms", wait(LOCK_TIMEOUT).as_millis()));
    format!(
        "{role}SET search_path TO pg_catalog;\n\
         SET client_min_messages TO error;\n\
         SET standard_conforming_strings TO on;\n\
         SET statement_timeout TO 0;\n\
         SET idle_in_transaction_session_timeout TO 0;\n\
         SET lock_timeout TO {lock};\n\
         SET tcp_keepalives_idle TO 60;\n\
         SET tcp_keepalives_interval TO 10;\n\
         SET tcp_keepalives_count TO 6;\n\
         SET default_transaction_isolation TO 'read committed';\n\
         SET default_transaction_read_only TO off;\n\
         SET synchronous_commit TO on;\n\
         SET row_security TO off;\n\
         SET default_tablespace TO '';\n\
         SET check_function_bodies TO off;\n\
         SET quote_all_identifiers TO off;\n\
         SET xmloption TO content;\n\
         SET DateStyle TO ISO;\n\
         SET IntervalStyle TO postgres;\n\
         SET TimeZone TO 'UTC';\n\
         SET bytea_output TO hex;\n\
         SET extra_float_digits TO 3;\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_takes_the_role_first_and_its_name_is_quoted() {
        let text = setup(Some("we\"ird"));
        assert!(text.starts_with("SET ROLE \"we\"\"ird\";\n"), "{text}");
        assert!(setup(None).starts_with("SET search_path TO pg_catalog;\n"));
    }
}
