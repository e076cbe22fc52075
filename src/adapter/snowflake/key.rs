//! A private key, read in every form dbt-snowflake reads it, as the unencrypted PKCS#8 that the
//! driver signs with (`/user-guide/key-pair-auth`).
//!
//! It is opened once: opening an encrypted key is slow by design, and a pool signs in many times.
//!
//! May import `config` and `failure`.

use std::path::Path;

use pkcs8::der::{Encode, asn1::AnyRef};
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfo, LineEnding, ObjectIdentifier, PrivateKeyInfo,
    SecretDocument,
};

use crate::config::secret::Secret;
use crate::failure::{Failure, Outcome};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Reads the key in a file.
pub fn from_file(path: &Path, passphrase: Option<&Secret>) -> Outcome<Secret> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let failure = |what: String| Failure::usage(what);
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                failure(format!("`private_key_path`: there is no file {shown}"))
                    .next("name the file that holds the private key, as an absolute path")
            }
            std::io::ErrorKind::PermissionDenied => {
                failure(format!("`private_key_path`: {shown} may not be read by this user"))
                    .next(format!("run `chmod 600 {shown}` as its owner, or run as its owner"))
            }
            std::io::ErrorKind::InvalidData => failure(format!(
                "`private_key_path`: {shown} is not a text file; the key must be in PEM form"
            ))
            .next("convert it: openssl pkcs8 -topk8 -inform DER -in KEY -out KEY.p8"),
            _ => failure(format!("`private_key_path`: {shown} cannot be read: {error}")),
        }
    })?;
    from_text(&text, passphrase, &format!("`private_key_path` ({shown})"))
}

/// Reads a key: PEM of PKCS#8, encrypted or not, of PKCS#1, or the base64 body of a PKCS#8 key.
/// `place` says in words where it comes from.
pub fn from_text(text: &str, passphrase: Option<&Secret>, place: &str) -> Outcome<Secret> {
    let text = text.trim();
    let pem = if text.starts_with('-') {
        text.to_owned()
    } else {
        wrapped(text, passphrase.is_some()).ok_or_else(|| {
            Failure::usage(format!("{place} is neither a PEM file nor the base64 text of a key"))
                .next("give it the whole text of the file, BEGIN and END lines included")
        })?
    };
    let label = label(&pem).unwrap_or_default();
    refuse_other_kinds(label, &pem, place)?;
    let (_, document) = SecretDocument::from_pem(&pem).map_err(|error| {
        Failure::usage(format!("{place} is damaged: {error}"))
            .next("give it the file as openssl wrote it")
    })?;
    let opened = match label {
        "ENCRYPTED PRIVATE KEY" => decrypted(&document, passphrase, place)?,
        "RSA PRIVATE KEY" => from_pkcs1(&document, place)?,
        _ => document,
    };
    is_rsa(&opened, place)?;
    let pem = opened.to_pem("PRIVATE KEY", LineEnding::LF);
    let pem = pem.map_err(|error| Failure::usage(format!("{place} is damaged: {error}")))?;
    Ok(Secret::new(pem.as_str()))
}

fn label(pem: &str) -> Option<&str> {
    pem.lines().next()?.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----")
}

/// A base64 text as PEM.
fn wrapped(text: &str, encrypted: bool) -> Option<String> {
    let body: String = text.split_whitespace().collect();
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    if body.len() < 64 || !body.bytes().all(is_base64) {
        return None;
    }
    let lines: Vec<String> =
        body.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let label = if encrypted { "ENCRYPTED PRIVATE KEY" } else { "PRIVATE KEY" };
    Some(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")))
}

fn refuse_other_kinds(label: &str, pem: &str, place: &str) -> Outcome<()> {
    let what = match label {
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => return Ok(()),
        "RSA PRIVATE KEY" if !pem.contains("Proc-Type:") => return Ok(()),
        "RSA PRIVATE KEY" => "is encrypted in the old way of PKCS#1".to_owned(),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => "holds the public key, not the private one".to_owned(),
        "" => "does not begin with a BEGIN line".to_owned(),
        other => format!("holds a `{other}`, and Snowflake takes RSA keys"),
    };
    Err(Failure::usage(format!("{place} {what}"))
        .next("convert it: openssl pkcs8 -topk8 -in KEY -out KEY.p8"))
}

fn decrypted(
    document: &SecretDocument,
    passphrase: Option<&Secret>,
    place: &str,
) -> Outcome<SecretDocument> {
    let Some(passphrase) = passphrase else {
        return Err(Failure::usage(format!(
            "{place} is encrypted, and `private_key_passphrase` is not set"
        ))
        .next("set `private_key_passphrase` in the profile, from an environment variable"));
    };
    let damaged = |error| Failure::usage(format!("{place} is damaged: {error}"));
    let info = EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(damaged)?;
    info.decrypt(passphrase.expose()).map_err(|error| {
        Failure::usage(format!("{place} is not opened by `private_key_passphrase`: {error}")).next(
            "check the passphrase; a key encrypted with DES can be converted: openssl pkcs8 -topk8 \
             -v2 aes256 -in KEY -out KEY.p8",
        )
    })
}

fn from_pkcs1(document: &SecretDocument, place: &str) -> Outcome<SecretDocument> {
    let algorithm = AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) };
    let info = PrivateKeyInfo::new(algorithm, document.as_bytes());
    let bytes = info.to_der().and_then(|der| SecretDocument::try_from(der.as_slice()));
    bytes.map_err(|error| Failure::usage(format!("{place} is damaged: {error}")))
}

fn is_rsa(document: &SecretDocument, place: &str) -> Outcome<()> {
    let info = PrivateKeyInfo::try_from(document.as_bytes());
    let info = info.map_err(|error| Failure::usage(format!("{place} is damaged: {error}")))?;
    if info.algorithm.oid == RSA {
        return Ok(());
    }
    Err(Failure::usage(format!("{place} is not an RSA key, and Snowflake takes RSA keys"))
        .next("make one: openssl genrsa 2048 | openssl pkcs8 -topk8 -out KEY.p8"))
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
