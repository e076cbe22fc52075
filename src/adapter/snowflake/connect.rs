//! Signing in: what a session is opened with, how long one waits for it, and what a refusal means.
//!
//! May import `failure` and its siblings.

use std::sync::Arc;
use std::time::Duration;

use snowflake_connector_rs::{
    AuthConfig, Client, ClientConfig, EndpointConfig, KeyPairConfig, PasswordConfig, ProxyConfig,
    QueryConfig, Session, SessionConfig, TransportConfig,
};
use url::Url;

use super::profile::{Credential, Settings};
use super::words::{self, Who};
use crate::failure::{Failure, Outcome};

/// How much, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many sessions at once.
    pub sessions: usize,
    /// How long one statement may run.
    pub statement: Duration,
    /// How long one statement may wait for a lock; Snowflake's default is twelve hours.
    pub lock: Duration,
    /// How often a read that was not answered is sent altogether.
    pub attempts: u32,
    /// How long to wait before the second time; it doubles from then on.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 16,
            statement: Duration::from_secs(2 * 3600),
            lock: Duration::from_secs(60),
            attempts: 5,
            pause: Duration::from_millis(200),
        }
    }
}

/// What a statement is sent for; it stands in Snowflake's query history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(Arc<str>);

impl Tag {
    /// `switchback/<run>/<release>/<step>`, cut to the 2,000 characters of `QUERY_TAG`.
    #[must_use]
    pub fn new(run: &str, release: &str, step: &str) -> Self {
        let text = format!("switchback/{run}/{release}/{step}");
        Self(text.chars().take(2000).collect::<String>().into())
    }

    /// The tag's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Everything that opens a session.
pub(super) struct Connector {
    pub(super) settings: Settings,
    pub(super) limits: Limits,
    pub(super) who: Who,
}

/// The driver gives up this much later than the server, so that the server's answer comes first.
const GRACE: Duration = Duration::from_secs(60);

impl Connector {
    pub(super) fn new(settings: Settings, limits: Limits) -> Outcome<Self> {
        let address = settings.address.clone();
        let who = Who {
            account: settings.account.clone(),
            user: settings.user.clone(),
            role: settings.role.clone(),
            warehouse: settings.warehouse.clone(),
            address: address
                .unwrap_or_else(|| format!("https://{}.snowflakecomputing.com", settings.account)),
        };
        let connector = Self { settings, limits, who };
        connector.client(&Tag::new("", "", ""))?; // an address that cannot be read is found out now
        Ok(connector)
    }

    /// Doubles from attempt to attempt, up to half a minute.
    pub(super) async fn back_off(&self, attempt: u32) {
        let factor = 1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
        let pause = self.limits.pause.saturating_mul(factor);
        tokio::time::sleep(pause.min(Duration::from_secs(30))).await;
    }

    /// Opens a session with a tag, again if the network fails and the profile says how often.
    pub(super) async fn sign_in(&self, tag: &Tag) -> Outcome<Session> {
        let client = self.client(tag)?;
        let mut attempt = 1;
        loop {
            let session = match self.settings.connect_timeout {
                Some(limit) => tokio::time::timeout(limit, client.create_session()).await,
                None => Ok(client.create_session().await),
            };
            let passing = match &session {
                Ok(Ok(_)) => false,
                Ok(Err(error)) => words::is_passing(error),
                Err(_) => true,
            };
            if passing && attempt <= self.settings.retries {
                self.back_off(attempt).await;
                attempt += 1;
                continue;
            }
            return match session {
                Ok(Ok(session)) => Ok(session),
                Ok(Err(error)) => Err(self.scrubbed(words::sign_in(&error, &self.who))),
                Err(_) => Err(Failure::usage(format!(
                    "Snowflake at {} does not answer within `connect_timeout`",
                    self.who.address
                ))
                .next("check `account` and `host` in profiles.yml, the network and the proxy")),
            };
        }
    }

    /// Without the credential, should anybody have quoted it.
    fn scrubbed(&self, mut failure: Failure) -> Failure {
        let secrets = match &self.settings.credential {
            Credential::Password { password, passcode } => vec![Some(password), passcode.as_ref()],
            Credential::KeyPair(secret) | Credential::OAuth(secret) => vec![Some(secret)],
        };
        for secret in secrets.into_iter().flatten() {
            failure.message = secret.scrub(&failure.message);
        }
        failure
    }

    fn client(&self, tag: &Tag) -> Outcome<Client> {
        let settings = &self.settings;
        let mut session = SessionConfig::new();
        for (key, value) in self.parameters(tag) {
            session = session.with_session_parameter(key, value);
        }
        if let Some(role) = &settings.role {
            session = session.with_role(role);
        }
        if let Some(warehouse) = &settings.warehouse {
            session = session.with_warehouse(warehouse);
        }
        let query = QueryConfig::new().with_query_response_timeout(self.limits.statement + GRACE);
        let auth = auth(&settings.credential);
        let mut config = ClientConfig::new(&settings.user, &settings.account, auth)
            .with_session(session)
            .with_query(query);
        if let Some(address) = &settings.address {
            config = config.with_endpoint(EndpointConfig::custom_base_url(url("host", address)?));
        }
        if let Some(proxy) = &settings.proxy {
            let proxy = ProxyConfig::new(url("proxy_host", proxy)?);
            config = config.with_transport(TransportConfig::new().with_proxy(proxy));
        }
        Client::new(config).map_err(|error| {
            Failure::usage(format!(
                "the connection to Snowflake cannot be set up: {}",
                words::chain(&error)
            ))
        })
    }

    /// `/sql-reference/parameters`.
    fn parameters(&self, tag: &Tag) -> Vec<(&'static str, serde_json::Value)> {
        let keep_alive = self.settings.keep_alive;
        vec![
            ("QUERY_TAG", tag.as_str().into()),
            ("STATEMENT_TIMEOUT_IN_SECONDS", self.limits.statement.as_secs().into()),
            ("LOCK_TIMEOUT", self.limits.lock.as_secs().into()),
            ("QUOTED_IDENTIFIERS_IGNORE_CASE", false.into()),
            ("AUTOCOMMIT", true.into()),
            ("TIMEZONE", "UTC".into()),
            ("CLIENT_SESSION_KEEP_ALIVE", keep_alive.into()),
        ]
    }
}

fn url(key: &str, text: &str) -> Outcome<Url> {
    Url::parse(text)
        .map_err(|error| Failure::usage(format!("`{key}` of the dbt target: {text}: {error}")))
}

fn auth(credential: &Credential) -> AuthConfig {
    match credential {
        Credential::Password { password, passcode } => {
            let config = PasswordConfig::new(password.expose());
            AuthConfig::password(match passcode {
                Some(code) => config.with_passcode(code.expose()),
                None => config,
            })
        }
        Credential::KeyPair(pem) => AuthConfig::key_pair(KeyPairConfig::from_pem(pem.expose())),
        Credential::OAuth(token) => AuthConfig::oauth(token.expose()),
    }
}
