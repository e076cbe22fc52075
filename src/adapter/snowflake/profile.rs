//! The fields of a dbt-snowflake target as settings for a connection, read the way dbt-snowflake
//! reads them; what the driver cannot do is refused with what to use instead.
//!
//! May import `config` and `failure`, and its sibling `key`.

use std::path::Path;
use std::time::Duration;

use super::key;
use crate::config::secret::Secret;
use crate::failure::{Failure, Outcome};

/// The value of a field of the target, rendered; `None` if it is not there.
pub type Field<'a> = &'a dyn Fn(&str) -> Outcome<Option<String>>;

/// How to sign in.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A password or a programmatic access token, which Snowflake takes as a password
    /// (`/user-guide/programmatic-access-tokens`), and a one-time code if there is one.
    Password {
        /// The password.
        password: Secret,
        /// A one-time code: good for one session only.
        passcode: Option<Secret>,
    },
    /// A private key: unencrypted PKCS#8 in PEM.
    KeyPair(Secret),
    /// An OAuth access token.
    OAuth(Secret),
}

/// Everything needed to sign in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account identifier.
    pub account: String,
    /// The user; may be empty with OAuth.
    pub user: String,
    /// How to sign in.
    pub credential: Credential,
    /// The role, as written; Snowflake folds it as it does for dbt.
    pub role: Option<String>,
    /// The warehouse, as written.
    pub warehouse: Option<String>,
    /// dbt's database, as written. Sessions never make it theirs.
    pub database: String,
    /// dbt's schema, as written.
    pub schema: String,
    /// The server's address; `None` for the account's own.
    pub address: Option<String>,
    /// A proxy's address.
    pub proxy: Option<String>,
    /// dbt's own query tag; ours takes its place in our sessions.
    pub query_tag: Option<String>,
    /// How often a sign-in that was not answered is tried again.
    pub retries: u32,
    /// How long one sign-in may take; `None` leaves it to the driver.
    pub connect_timeout: Option<Duration>,
    /// Whether the server keeps idle sessions alive.
    pub keep_alive: bool,
}

impl Settings {
    /// Reads a target.
    pub fn read(field: Field<'_>) -> Outcome<Self> {
        let account = account(&required(field, "account")?)?;
        let credential = credential(field)?;
        let user = match &credential {
            Credential::OAuth(_) => field("user")?.unwrap_or_default(),
            _ => required(field, "user")?,
        };
        Ok(Self {
            address: address(field, &account)?,
            proxy: proxy(field)?,
            user,
            credential,
            role: field("role")?,
            warehouse: field("warehouse")?,
            database: required(field, "database")?,
            schema: required(field, "schema")?,
            query_tag: field("query_tag")?,
            retries: number(field, "connect_retries")?.unwrap_or(1),
            connect_timeout: number::<u64>(field, "connect_timeout")?.map(Duration::from_secs),
            keep_alive: truth(field, "client_session_keep_alive")?,
            account,
        })
    }

    /// Whether more than one session can be opened: a one-time code opens one.
    #[must_use]
    pub fn single_session(&self) -> bool {
        matches!(&self.credential, Credential::Password { passcode: Some(_), .. })
    }
}

fn required(field: Field<'_>, key: &str) -> Outcome<String> {
    field(key)?.filter(|value| !value.trim().is_empty()).ok_or_else(|| {
        Failure::usage(format!("the dbt target has no `{key}`"))
            .next(format!("add `{key}` to the target in profiles.yml"))
    })
}

fn number<T: std::str::FromStr>(field: Field<'_>, key: &str) -> Outcome<Option<T>> {
    let Some(text) = field(key)? else {
        return Ok(None);
    };
    let parsed = text.trim().parse().map(Some);
    parsed
        .map_err(|_| Failure::usage(format!("`{key}` of the dbt target is `{text}`, not a number")))
}

fn truth(field: Field<'_>, key: &str) -> Outcome<bool> {
    match field(key)?.map(|text| text.trim().to_lowercase()).as_deref() {
        None | Some("false" | "no" | "off" | "0" | "") => Ok(false),
        Some("true" | "yes" | "on" | "1") => Ok(true),
        Some(other) => Err(Failure::usage(format!(
            "`{key}` of the dbt target is `{other}`, not true or false"
        ))),
    }
}

/// The account identifier, underscores as hyphens as dbt-snowflake has them: a host name cannot
/// have underscores (`/user-guide/admin-account-identifier`).
fn account(text: &str) -> Outcome<String> {
    let text = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let address = text.contains("://") || text.to_ascii_lowercase().contains("snowflakecomputing");
    if address || !text.chars().all(allowed) {
        return Err(Failure::usage(format!(
            "`account` of the dbt target is `{text}`, which is no account identifier"
        ))
        .next("write it like `organization-account` or `xy12345.eu-central-1`, without https:// and .snowflakecomputing.com"));
    }
    Ok(text.replace('_', "-"))
}

fn address(field: Field<'_>, account: &str) -> Outcome<Option<String>> {
    let (host, protocol) = (field("host")?, field("protocol")?);
    let port: Option<u16> = number(field, "port")?;
    if host.is_none() && port.is_none() && protocol.is_none() {
        return Ok(None);
    }
    let protocol = protocol.unwrap_or_else(|| "https".to_owned());
    if !matches!(protocol.as_str(), "https" | "http") {
        return Err(Failure::usage(format!(
            "`protocol` of the dbt target is `{protocol}`, not https or http"
        )));
    }
    let host = host.unwrap_or_else(|| format!("{account}.snowflakecomputing.com"));
    let address = match port {
        Some(port) => format!("{protocol}://{host}:{port}"),
        None => format!("{protocol}://{host}"),
    };
    let valid = url::Url::parse(&address)
        .is_ok_and(|url| url.path() == "/" && url.username().is_empty() && url.query().is_none());
    if !valid {
        return Err(Failure::usage(format!(
            "`host` of the dbt target is `{host}`, which is no host name"
        ))
        .next("write the name alone, such as `xy12345.privatelink.snowflakecomputing.com`"));
    }
    Ok(Some(address))
}

fn proxy(field: Field<'_>) -> Outcome<Option<String>> {
    let Some(host) = field("proxy_host")? else {
        return Ok(None);
    };
    let port: u16 = number(field, "proxy_port")?.unwrap_or(80);
    let host = host.strip_prefix("http://").unwrap_or(&host).to_owned();
    Ok(Some(format!("http://{host}:{port}")))
}

/// Which credential counts, in the order of dbt-snowflake and the Python driver under it.
fn credential(field: Field<'_>) -> Outcome<Credential> {
    let authenticator = field("authenticator")?.unwrap_or_default();
    let kind = authenticator.trim().to_lowercase();
    let token = || required_secret(field, "token", &kind);
    match kind.as_str() {
        "oauth" => {
            if field("oauth_client_id")?.is_some() || field("oauth_client_secret")?.is_some() {
                return Err(refused(
                    "`oauth_client_id` asks for an access token to be fetched with a refresh token",
                    "give `token` an access token and leave the client out, or sign in with a key pair",
                ));
            }
            Ok(Credential::OAuth(token()?))
        }
        "jwt" => Ok(Credential::OAuth(token()?)),
        "programmatic_access_token" => Ok(Credential::Password {
            password: match field("token")? {
                Some(token) => Secret::new(token),
                None => required_secret(field, "password", &kind)?,
            },
            passcode: None,
        }),
        "username_password_mfa" => {
            let passcode = field("passcode")?.map(Secret::new);
            if passcode.is_none() {
                return Err(refused(
                    "`authenticator: username_password_mfa` waits for somebody to approve a sign-in",
                    UNATTENDED,
                ));
            }
            Ok(Credential::Password {
                password: required_secret(field, "password", &kind)?,
                passcode,
            })
        }
        "" | "snowflake" | "snowflake_jwt" => {
            if let Some(key) = key_pair(field)? {
                return Ok(Credential::KeyPair(key));
            }
            if kind == "snowflake_jwt" {
                return Err(refused(
                    "`authenticator: snowflake_jwt` needs a private key, and the target has none",
                    "set `private_key_path`, or `private_key` from an environment variable",
                ));
            }
            password(field)
        }
        _ => Err(unsupported(&authenticator, &kind)),
    }
}

const UNATTENDED: &str = "sign in with a key pair (`private_key_path`), a programmatic access token \
                          or an OAuth access token (`authenticator: oauth`, `token`)";

fn refused(what: &str, next: &str) -> Failure {
    Failure::usage(what).next(next)
}

fn unsupported(written: &str, kind: &str) -> Failure {
    match kind {
        "externalbrowser" | "oauth_authorization_code" => refused(
            &format!("`authenticator: {kind}` opens a browser, which a deploy has none of"),
            UNATTENDED,
        ),
        "workload_identity" => refused(
            "`authenticator: workload_identity` is not something this version can sign in with",
            UNATTENDED,
        ),
        "oauth_client_credentials" => refused(
            "`authenticator: oauth_client_credentials` fetches a token, which this version does not",
            "fetch the access token beforehand and use `authenticator: oauth` with `token`",
        ),
        _ if kind.starts_with("https://") => refused(
            "`authenticator` is an Okta address, which this version cannot sign in with",
            UNATTENDED,
        ),
        _ => refused(&format!("`authenticator: {written}` is not known"), UNATTENDED),
    }
}

fn required_secret(field: Field<'_>, key: &str, authenticator: &str) -> Outcome<Secret> {
    let value = field(key)?.filter(|value| !value.is_empty());
    value.map(Secret::new).ok_or_else(|| {
        Failure::usage(format!(
            "`authenticator: {authenticator}` needs `{key}`, and the dbt target has none"
        ))
        .next(format!("set `{key}` in the target, from an environment variable"))
    })
}

fn password(field: Field<'_>) -> Outcome<Credential> {
    match field("password")?.filter(|value| !value.is_empty()) {
        Some(password) => Ok(Credential::Password {
            password: Secret::new(password),
            passcode: field("passcode")?.map(Secret::new),
        }),
        None if field("token")?.is_some() => Err(refused(
            "the dbt target has a `token` and does not say what kind",
            "add `authenticator: oauth` or `authenticator: programmatic_access_token`",
        )),
        None => Err(refused(
            "the dbt target has neither a private key nor a password nor a token",
            UNATTENDED,
        )),
    }
}

fn key_pair(field: Field<'_>) -> Outcome<Option<Secret>> {
    let passphrase =
        field("private_key_passphrase")?.filter(|text| !text.is_empty()).map(Secret::new);
    match (field("private_key")?, field("private_key_path")?) {
        (Some(_), Some(_)) => Err(refused(
            "the dbt target has both `private_key` and `private_key_path`",
            "keep one of them",
        )),
        (Some(text), None) => key::from_text(&text, passphrase.as_ref(), "`private_key`").map(Some),
        (None, Some(path)) => key::from_file(Path::new(&path), passphrase.as_ref()).map(Some),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
