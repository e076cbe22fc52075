//! The fields of a dbt-postgres target as settings for a connection, read the way dbt-postgres and
//! the libpq under it read them.
//!
//! May import `config` and `failure`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::secret::Secret;
use crate::failure::{Failure, Outcome};

/// The value of a field of the target, rendered; `None` if it is not there.
pub type Field<'a> = &'a dyn Fn(&str) -> Outcome<Option<String>>;

/// A variable of the environment; libpq reads some where the profile is silent.
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How much of the server's certificate is checked, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// No encryption.
    Disable,
    /// Encryption where the server offers it, unchecked (`allow` and `prefer`).
    Prefer,
    /// Encryption, unchecked unless a root certificate is named.
    Require,
    /// Encryption, and a certificate that a known authority signed.
    VerifyCa,
    /// The same, and for this very host.
    VerifyFull,
}

/// Everything needed to sign in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A name, an address, or the directory of a socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password; may be empty where the server asks for none.
    pub password: Secret,
    /// The database.
    pub database: String,
    /// dbt's schema: the one that names the environment.
    pub schema: String,
    /// The role that is taken after signing in.
    pub role: Option<String>,
    /// dbt's search path, which its own sessions have. Ours never do.
    pub search_path: Option<String>,
    /// How encryption is asked for.
    pub ssl_mode: SslMode,
    /// The client's certificate.
    pub ssl_cert: Option<PathBuf>,
    /// Its key.
    pub ssl_key: Option<PathBuf>,
    /// The authorities that may sign the server's certificate; `system` means the machine's.
    pub ssl_root_cert: Option<PathBuf>,
    /// How long one attempt to sign in may take.
    pub connect_timeout: Duration,
    /// After how long in silence a connection is probed; `None` leaves it to the system.
    pub keepalives_idle: Option<Duration>,
    /// How often a sign-in that was not answered is tried again.
    pub retries: u32,
    /// How many sessions copy at once.
    pub threads: usize,
}

impl Settings {
    /// Reads a target.
    pub fn read(field: Field<'_>, variable: Variable<'_>) -> Outcome<Self> {
        let either = |one: &str, other: &str| -> Outcome<Option<String>> {
            Ok(match field(one)? {
                Some(value) => Some(value),
                None => field(other)?,
            })
        };
        let file = |key: &str, name: &str, home: &str| -> Outcome<Option<PathBuf>> {
            if let Some(path) = field(key)?.or_else(|| variable(name)).filter(|p| !p.is_empty()) {
                return Ok(Some(PathBuf::from(path)));
            }
            let own = variable("HOME").map(|dir| PathBuf::from(dir).join(".postgresql").join(home));
            Ok(own.filter(|path| path.is_file()))
        };
        let database = either("dbname", "database")?;
        let password = either("password", "pass")?.or_else(|| variable("PGPASSWORD"));
        Ok(Self {
            host: required(field("host")?, "host")?,
            port: number(field, "port")?.unwrap_or(5432),
            user: required(field("user")?, "user")?,
            password: Secret::new(password.unwrap_or_default()),
            database: required(database, "dbname")?,
            schema: required(field("schema")?, "schema")?,
            role: field("role")?.filter(|role| !role.is_empty()),
            search_path: field("search_path")?.filter(|path| !path.trim().is_empty()),
            ssl_mode: ssl_mode(field("sslmode")?.or_else(|| variable("PGSSLMODE")).as_deref())?,
            ssl_cert: file("sslcert", "PGSSLCERT", "postgresql.crt")?,
            ssl_key: file("sslkey", "PGSSLKEY", "postgresql.key")?,
            ssl_root_cert: file("sslrootcert", "PGSSLROOTCERT", "root.crt")?,
            connect_timeout: Duration::from_secs(
                number(field, "connect_timeout")?.unwrap_or(10).max(2),
            ),
            keepalives_idle: number(field, "keepalives_idle")?
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            retries: number(field, "retries")?.unwrap_or(1),
            threads: number(field, "threads")?.unwrap_or(1).clamp(1, 16),
        })
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        format!("database {} on {}:{}", self.database, self.host, self.port)
    }
}

fn required(value: Option<String>, key: &str) -> Outcome<String> {
    value.filter(|value| !value.trim().is_empty()).ok_or_else(|| {
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

fn ssl_mode(text: Option<&str>) -> Outcome<SslMode> {
    Ok(match text.map(str::trim) {
        None | Some("" | "prefer" | "allow") => SslMode::Prefer,
        Some("disable") => SslMode::Disable,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(other) => {
            return Err(Failure::usage(format!(
                "`sslmode` is `{other}`; allowed are disable, allow, prefer, require, verify-ca and \
                 verify-full"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)], variables: &[(&str, &str)]) -> Outcome<Settings> {
        let of = |all: &[(&str, &str)], key: &str| {
            all.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(&|key| Ok(of(fields, key)), &|key| of(variables, key))
    }

    const LEAST: &[(&str, &str)] =
        &[("host", "h"), ("user", "u"), ("dbname", "d"), ("schema", "s"), ("pass", "hunter2")];

    #[test]
    fn the_least_target_gets_dbts_defaults() {
        let found = read(LEAST, &[]).unwrap();
        assert_eq!((found.port, found.ssl_mode), (5432, SslMode::Prefer));
        assert_eq!(found.connect_timeout, Duration::from_secs(10));
        assert_eq!((found.keepalives_idle, found.role), (None, None));
        assert_eq!(found.password.expose(), "hunter2");
    }

    #[test]
    fn what_the_profile_does_not_say_is_read_as_libpq_reads_it() {
        let found = read(LEAST, &[("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", "/ca.pem")]);
        let found = found.unwrap();
        assert_eq!(found.ssl_mode, SslMode::VerifyFull);
        assert_eq!(found.ssl_root_cert, Some(PathBuf::from("/ca.pem")));
    }

    #[test]
    fn a_wrong_value_names_the_key_the_value_and_what_is_allowed() {
        let with = |key, value| [LEAST, &[(key, value)]].concat();
        let wrong = read(&with("sslmode", "on"), &[]).unwrap_err();
        assert!(wrong.message.starts_with("`sslmode` is `on`; allowed are"), "{}", wrong.message);
        let wrong = read(&with("port", "x"), &[]).unwrap_err();
        assert_eq!(wrong.message, "`port` of the dbt target is `x`, not a number");
        let missing = read(&LEAST[1..], &[]).unwrap_err();
        assert_eq!(missing.message, "the dbt target has no `host`");
    }
}
