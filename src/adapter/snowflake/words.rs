//! Snowflake's errors in sentences, and what each of them says about whether the statement
//! happened.
//!
//! Law: an error that the server *answered* is a refusal, unless it speaks of a statement that ran
//! (a cancellation, a time-out, an internal error, anything out of a scripting block). Everything
//! else (a connection lost, an answer not understood) leaves it open.
//!
//! May import `failure` and `ports`.

use snowflake_connector_rs::{Error, ErrorKind};

use crate::failure::{Failure, Kind};

/// What an error says about the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It did not run.
    No,
    /// It may have.
    Perhaps,
    /// The session is not valid any more, and the statement was not looked at.
    SignInAgain,
}

/// Codes of a session that is gone: expired, unknown, its token expired
/// (`/developer-guide/sql-api/handling-errors` and the drivers' sources).
const SESSION_GONE: [&str; 3] = ["390111", "390112", "390114"];

/// Codes of statements that ran: an internal error, cancelled, timed out.
const RAN: [&str; 4] = ["000603", "000604", "000630", "000632"];

/// What an error says about the statement that it answers.
#[must_use]
pub fn happened(error: &Error, sql: &str) -> Happened {
    let code = error.snowflake_code().unwrap_or_default();
    match error.kind() {
        ErrorKind::SessionExpired | ErrorKind::Server if SESSION_GONE.contains(&code) => {
            // With a query id it expired while the statement was running.
            match error.query_id() {
                None => Happened::SignInAgain,
                Some(_) => Happened::Perhaps,
            }
        }
        ErrorKind::Server if RAN.contains(&code) || is_block(sql) => Happened::Perhaps,
        ErrorKind::Server | ErrorKind::Config | ErrorKind::Auth | ErrorKind::BindEncode => {
            Happened::No
        }
        _ => Happened::Perhaps,
    }
}

/// Whether a statement is many: what was done before one of them failed stays done
/// (`/sql-reference/transactions`).
fn is_block(sql: &str) -> bool {
    let first: Vec<String> = sql.split_whitespace().take(2).map(str::to_ascii_uppercase).collect();
    match first.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["EXECUTE", "IMMEDIATE" | "TASK"] => true,
        [word, ..] => matches!(word, "BEGIN" | "DECLARE" | "CALL" | "WITH"),
        [] => false,
    }
}

/// Whether asking again may help: the network failed, not the statement.
#[must_use]
pub fn is_passing(error: &Error) -> bool {
    let status = http_status(error);
    match error.kind() {
        ErrorKind::Network => status.is_none_or(|status| status >= 500 || status == 429),
        ErrorKind::Timeout => true,
        _ => false,
    }
}

/// The status of an HTTP error. The driver keeps it in its text only.
fn http_status(error: &Error) -> Option<u16> {
    let text = error.to_string();
    text.split_once("HTTP ")?.1.get(..3)?.parse().ok()
}

/// The error with everything that caused it.
#[must_use]
pub fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Snowflake's own message on one line, without what it always says.
fn message(error: &Error) -> String {
    let text = error.snowflake_message().map_or_else(|| chain(error), str::to_owned);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.strip_prefix("SQL compilation error: ").unwrap_or(&text);
    text.to_owned()
}

/// Who is connected as what, for sentences.
#[derive(Clone, Debug)]
pub struct Who {
    /// The account.
    pub account: String,
    /// The user.
    pub user: String,
    /// The role, if the profile names one.
    pub role: Option<String>,
    /// The warehouse, if the profile names one.
    pub warehouse: Option<String>,
    /// The server's address.
    pub address: String,
}

impl Who {
    fn role(&self) -> String {
        match &self.role {
            Some(role) => format!("role {role}"),
            None => format!("the default role of {}", self.user),
        }
    }

    fn warehouse(&self) -> String {
        match &self.warehouse {
            Some(warehouse) => format!("the profile's warehouse {warehouse}"),
            None => "the user's default warehouse (the profile names none)".to_owned(),
        }
    }
}

/// Why signing in failed.
#[must_use]
pub fn sign_in(error: &Error, who: &Who) -> Failure {
    let said = message(error);
    let has = |words: &str| said.to_lowercase().contains(words);
    let user = &who.user;
    let (what, next) = if matches!(http_status(error), Some(403 | 404)) {
        (
            format!("there is no Snowflake account `{}` at {}", who.account, who.address),
            "check `account` (and `host`) in profiles.yml: SELECT CURRENT_ORGANIZATION_NAME() || '-' \
             || CURRENT_ACCOUNT_NAME() prints it",
        )
    } else if matches!(error.kind(), ErrorKind::Network | ErrorKind::Timeout) {
        (
            format!("Snowflake at {} does not answer", who.address),
            "check `account` and `host` in profiles.yml, the network and the proxy",
        )
    } else if has("role") {
        (
            format!("{} cannot be used by user {user}", who.role()),
            "check `role` in profiles.yml, or GRANT ROLE … TO USER …",
        )
    } else if has("jwt") {
        (
            format!("Snowflake does not accept the key of user {user}"),
            "compare DESC USER's RSA_PUBLIC_KEY_FP with the key, check `user` and `account`, and the \
             machine's clock",
        )
    } else if has("network policy") || has("not allowed to access") {
        (
            format!("a network policy keeps user {user} out"),
            "add this machine's address to the policy; a service user with a programmatic access \
             token needs one",
        )
    } else if has("multi-factor") || has("mfa") || has("duo") || has("passcode") {
        (
            format!("user {user} must confirm the sign-in by hand"),
            "sign in with a key pair or a token: `private_key_path`, or `authenticator: oauth`",
        )
    } else if has("locked") {
        (
            format!("user {user} is locked"),
            "wait, or ALTER USER … SET MINS_TO_UNLOCK = 0; then check the password",
        )
    } else if has("token") {
        (
            format!("Snowflake does not accept the token of user {user}"),
            "get a fresh token: it is expired, revoked or for another account",
        )
    } else {
        (
            format!("user {user} cannot sign in to {}", who.account),
            "check `user` and the password, key or token in profiles.yml",
        )
    };
    Failure::usage(format!("{what}: {said}")).next(next)
}

/// Why a statement was refused.
#[must_use]
pub fn refusal(error: &Error, who: &Who) -> Failure {
    let said = message(error);
    let code = error.snowflake_code().unwrap_or_default();
    let usage = |what: String, next: &str| Failure::new(Kind::Usage, what).next(next.to_owned());
    let stopped = |what: String, next: &str| Failure::stopped(what).next(next.to_owned());
    let failure = match code {
        "000606" | "390201" => usage(
            format!(
                "there is no warehouse to run this: {} does not exist, or {} may not use it",
                who.warehouse(),
                who.role()
            ),
            "set `warehouse` in profiles.yml, or GRANT USAGE ON WAREHOUSE … TO ROLE …",
        ),
        "390189" | "003013" => usage(
            format!("{} cannot be used by user {}", who.role(), who.user),
            "check `role` in profiles.yml, or GRANT ROLE … TO USER …",
        ),
        "003001" | "003011" | "003540" => usage(
            format!("{} lacks a privilege", who.role()),
            "`switchback doctor` lists the privileges that are needed",
        ),
        "002003" | "002043" => stopped(
            format!("something does not exist, or {} may not see it", who.role()),
            "check the name in profiles.yml and the role's privileges; `switchback doctor` lists them",
        ),
        "000707" => stopped(
            "Time Travel does not reach back that far".to_owned(),
            "choose a later time, or a release that `switchback releases` lists as restorable",
        ),
        "000625" => stopped(
            "another session held a lock for too long".to_owned(),
            "run it again when the other statement is done",
        ),
        "000604" | "000630" | "000632" => stopped(
            "the statement was cancelled".to_owned(),
            "look it up in the query history; raise STATEMENT_TIMEOUT_IN_SECONDS if it was too low",
        ),
        _ => stopped(
            "Snowflake refused a statement".to_owned(),
            "look it up in the query history; `switchback doctor` checks what a deploy needs",
        ),
    };
    let told = told(&said, code, error.query_id());
    Failure { message: format!("{}: {told}", failure.message), ..failure }
}

/// That it is not known whether a statement was done.
#[must_use]
pub fn unknown(error: &Error) -> anyhow::Error {
    let code = error.snowflake_code().unwrap_or_default();
    let said = told(&message(error), code, error.query_id());
    anyhow::anyhow!("it is not known whether Snowflake did the statement: {said}")
}

/// Snowflake's message with its code and query id.
fn told(said: &str, code: &str, query: Option<&str>) -> String {
    let said = said.trim_end_matches('.');
    let query = query.map(|id| format!(", query {id}")).unwrap_or_default();
    match code {
        "" => format!("{said}{query}"),
        code => format!("{said} (Snowflake {code}{query})"),
    }
}
