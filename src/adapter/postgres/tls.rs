//! Encryption as libpq's `sslmode` asks for it, with rustls.
//!
//! Invariant: a mode that promises to check a certificate never falls back to one that does not.
//! May import `failure` and its sibling `profile`.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::profile::{Settings, SslMode};
use crate::failure::{Failure, Outcome};

/// What makes connections encrypted, as the target asks.
pub(super) fn connector(settings: &Settings) -> Outcome<MakeRustlsConnect> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::usage(format!("TLS cannot be set up: {error}")))?;
    let verifier = verifier(settings, &provider)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let config = match (&settings.ssl_cert, &settings.ssl_key) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates(cert, "sslcert")?, private_key(key)?)
            .map_err(|error| {
                let pair = format!("{} and {}", cert.display(), key.display());
                Failure::usage(format!("`sslcert` and `sslkey` ({pair}) cannot be used: {error}"))
            })?,
        _ => builder.with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

/// As in libpq, a root certificate that is named makes `require` check as `verify-ca` does.
fn verifier(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
) -> Outcome<Arc<dyn ServerCertVerifier>> {
    let root = settings.ssl_root_cert.as_deref();
    let checks = match settings.ssl_mode {
        SslMode::Disable | SslMode::Prefer => false,
        SslMode::Require => root.is_some(),
        SslMode::VerifyCa | SslMode::VerifyFull => true,
    };
    if !checks {
        return Ok(Arc::new(Lenient { inner: None, provider: provider.clone() }));
    }
    let roots = Arc::new(roots(root)?);
    let inner = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| Failure::usage(format!("`sslrootcert` cannot be used: {error}")))?;
    if settings.ssl_mode == SslMode::VerifyFull {
        return Ok(inner);
    }
    Ok(Arc::new(Lenient { inner: Some(inner), provider: provider.clone() }))
}

fn roots(file: Option<&Path>) -> Outcome<RootCertStore> {
    let mut store = RootCertStore::empty();
    let found = match file {
        Some(path) if path != Path::new("system") => certificates(path, "sslrootcert")?,
        _ => rustls_native_certs::load_native_certs().certs,
    };
    store.add_parsable_certificates(found);
    if store.is_empty() {
        return Err(Failure::usage(
            "`sslmode` asks for the server's certificate to be checked, and there is no root \
             certificate to check it with",
        )
        .next("name the authority's certificate with `sslrootcert` in profiles.yml"));
    }
    Ok(store)
}

fn certificates(path: &Path, key: &str) -> Outcome<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<_, _>>);
    let all = all.map_err(|error| {
        Failure::usage(format!("`{key}` {} cannot be read: {error}", path.display()))
    })?;
    if all.is_empty() {
        return Err(Failure::usage(format!("`{key}` {} holds no certificate", path.display())));
    }
    Ok(all)
}

fn private_key(path: &Path) -> Outcome<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        Failure::usage(format!(
            "`sslkey` {} cannot be read: {error} (an encrypted key is not supported)",
            path.display()
        ))
    })
}

/// Checks less than rustls does: the authority but not the host, or nothing at all.
#[derive(Debug)]
struct Lenient {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        // The name is looked at last, when the rest was found good.
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
