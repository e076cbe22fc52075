//! Ways to reach a real server: every `sslmode` against a certificate of our own, and its socket.

use std::path::Path;
use std::process::Command;

use super::connect::Connector;
use super::profile::Settings;
use super::testing::Server;

/// A key, and a certificate for `localhost` alone, as the server wants them; `false` where nothing
/// makes any, which is a failure where everything is required.
fn certificate(folder: &Path) -> bool {
    if Command::new("openssl").arg("version").output().is_err() {
        let required = std::env::var_os("SWITCHBACK_TEST_REQUIRE_ALL").is_some();
        assert!(!required, "openssl is not installed");
        eprintln!("SKIPPED: openssl is not installed, so TLS to PostgreSQL was not tried");
        return false;
    }
    let config = "[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\nCN=localhost\n\
                  [ext]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost\n";
    std::fs::write(folder.join("config"), config).unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-config", "config", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // The server's key must be its own and nobody else's.
    let allowed = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(folder, allowed(0o755)).unwrap();
    std::fs::set_permissions(folder.join("key.pem"), allowed(0o600)).unwrap();
    if rustix::process::geteuid().is_root() {
        let done = Command::new("chown").arg("postgres").arg(folder.join("key.pem")).status();
        assert!(done.unwrap().success());
    }
    true
}

/// Whether a session comes about, and whether it is encrypted; or why not.
async fn reach(port: u16, host: &str, more: &[(&str, &str)]) -> Result<bool, String> {
    let port = port.to_string();
    let mut fields = vec![("host", host), ("port", &port), ("user", "postgres")];
    fields.extend([("dbname", "postgres"), ("schema", "s"), ("retries", "0")]);
    fields.extend(more);
    let field = |key: &str| {
        Ok(fields.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
    };
    let settings = Settings::read(&field, &|_| None).map_err(|failure| failure.to_string())?;
    let connector = Connector::new(&settings).map_err(|failure| failure.to_string())?;
    let client = connector.connect().await.map_err(|error| error.to_string())?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await.unwrap().get(0))
}

#[tokio::test]
async fn every_sslmode_holds_what_it_promises_and_a_socket_needs_none() {
    let folder = tempfile::tempdir().unwrap();
    if !certificate(folder.path()) {
        return;
    }
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let settings = [format!("ssl_cert_file={cert}"), format!("ssl_key_file={key}")];
    let Some(server) = Server::start(&["ssl=on", &settings[0], &settings[1]]) else { return };
    let port = server.port;
    let root = ("sslrootcert", cert.as_str());
    for (mode, encrypted) in [("disable", false), ("prefer", true), ("require", true)] {
        assert_eq!(reach(port, "127.0.0.1", &[("sslmode", mode)]).await, Ok(encrypted), "{mode}");
    }
    assert_eq!(reach(port, "127.0.0.1", &[("sslmode", "verify-ca"), root]).await, Ok(true));
    assert_eq!(reach(port, "localhost", &[("sslmode", "verify-full"), root]).await, Ok(true));
    let other = reach(port, "127.0.0.1", &[("sslmode", "verify-full"), root]).await;
    assert!(other.is_err(), "the certificate is of another name");
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(certificate(elsewhere.path()));
    let stranger = elsewhere.path().join("cert.pem").display().to_string();
    let stranger = ("sslrootcert", stranger.as_str());
    for mode in ["verify-ca", "verify-full"] {
        let found = reach(port, "localhost", &[("sslmode", mode), stranger]).await;
        assert!(found.is_err(), "{mode} believes a stranger");
    }
    let socket = server.folder.display().to_string();
    assert_eq!(reach(port, &socket, &[("sslmode", "require")]).await, Ok(false));

    let Some(plain) = Server::shared() else { return };
    assert_eq!(reach(plain.port, "127.0.0.1", &[("sslmode", "prefer")]).await, Ok(false));
    assert!(reach(plain.port, "127.0.0.1", &[("sslmode", "require")]).await.is_err());
}
