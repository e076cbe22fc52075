use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn read(fields: &[(&str, &str)]) -> Outcome<Settings> {
    let base = [("account", "org-acct"), ("user", "u"), ("database", "d"), ("schema", "s")];
    let all: BTreeMap<&str, &str> = base.into_iter().chain(fields.iter().copied()).collect();
    Settings::read(&|key| {
        let value = all.get(key).filter(|value| **value != "-");
        Ok(value.map(|value| (*value).to_owned()))
    })
}

#[track_caller]
fn refused(fields: &[(&str, &str)], words: &str) {
    let failure = read(fields).unwrap_err();
    assert!(failure.message.contains(words), "{failure}");
    assert_eq!(failure.kind, crate::failure::Kind::Usage);
}

#[test]
fn a_password_or_token_is_taken_as_dbt_takes_it() {
    assert!(matches!(
        read(&[("password", "p")]).unwrap().credential,
        Credential::Password { passcode: None, .. }
    ));
    let pat = read(&[("authenticator", "programmatic_access_token"), ("token", "t")]).unwrap();
    assert!(
        matches!(pat.credential, Credential::Password { password, .. } if password.expose() == "t")
    );
    for kind in ["oauth", "jwt", "OAuth"] {
        let token = read(&[("authenticator", kind), ("token", "t"), ("user", "-")]).unwrap();
        assert!(matches!(token.credential, Credential::OAuth(t) if t.expose() == "t"));
    }
    let code =
        read(&[("authenticator", "username_password_mfa"), ("password", "p"), ("passcode", "1")]);
    assert!(code.unwrap().single_session());
}

#[test]
fn what_the_driver_cannot_do_is_refused_with_what_to_use_instead() {
    for kind in [
        "externalbrowser",
        "workload_identity",
        "https://x.okta.com",
        "username_password_mfa",
        "oauth_authorization_code",
    ] {
        let failure = read(&[("authenticator", kind), ("password", "p")]).unwrap_err();
        assert!(failure.next.unwrap().contains("private_key_path"), "{kind}");
    }
    refused(
        &[("authenticator", "oauth"), ("token", "t"), ("oauth_client_id", "c")],
        "oauth_client_id",
    );
    refused(&[("authenticator", "oauth")], "needs `token`");
    refused(&[("authenticator", "snowflake_jwt"), ("password", "p")], "needs a private key");
    refused(&[("authenticator", "kerberos")], "not known");
    refused(&[("token", "t")], "does not say what kind");
    refused(&[], "neither a private key");
    refused(&[("private_key", "x"), ("private_key_path", "y")], "both");
    refused(&[("private_key_path", "none/key.p8")], "there is no file");
}

#[test]
fn fields_that_are_missing_or_odd_are_named() {
    refused(&[("password", "p"), ("database", "-")], "no `database`");
    refused(&[("password", "p"), ("user", " ")], "no `user`");
    refused(&[("password", "p"), ("connect_retries", "many")], "`connect_retries`");
    refused(&[("password", "p"), ("port", "99999")], "`port`");
    refused(&[("password", "p"), ("protocol", "ftp")], "`protocol`");
    refused(&[("password", "p"), ("host", "https://x/y")], "`host`");
    refused(&[("password", "p"), ("client_session_keep_alive", "maybe")], "not true or false");
    for account in ["https://x.snowflakecomputing.com", "x.snowflakecomputing.com", "a b", "a/b"] {
        refused(&[("account", account), ("password", "p")], "no account identifier");
    }
}

#[test]
fn the_address_is_the_accounts_unless_the_profile_says_otherwise() {
    let address = |fields: &[(&str, &str)]| {
        let fields: Vec<_> = fields.iter().copied().chain([("password", "p")]).collect();
        read(&fields).unwrap().address
    };
    assert_eq!(address(&[]), None);
    assert_eq!(address(&[("host", "h.x")]).unwrap(), "https://h.x");
    assert_eq!(
        address(&[("host", "localhost"), ("port", "8085"), ("protocol", "http")]).unwrap(),
        "http://localhost:8085"
    );
    assert_eq!(
        address(&[("port", "444"), ("account", "a_b")]).unwrap(),
        "https://a-b.snowflakecomputing.com:444"
    );
}

proptest! {
    #[test]
    fn no_secret_is_ever_in_what_is_printed(secret in "S3CR3T[a-z0-9]{8,20}", kind in 0..4usize) {
        let fields: Vec<(&str, &str)> = match kind {
            0 => vec![("password", &secret), ("passcode", &secret)],
            1 => vec![("token", &secret), ("authenticator", "oauth")],
            2 => vec![("token", &secret), ("authenticator", "programmatic_access_token")],
            _ => vec![("private_key", &secret), ("private_key_passphrase", &secret)],
        };
        let printed = match read(&fields) {
            Ok(settings) => format!("{settings:?} {settings:#?}"),
            Err(failure) => format!("{failure} {failure:?} {:?}", failure.next),
        };
        prop_assert!(!printed.contains(&secret), "{}", printed);
    }
}
