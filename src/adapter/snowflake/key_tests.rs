use pkcs8::pkcs5::pbes2::Parameters;

use super::*;

/// A key by its form; its numbers are nonsense, which nothing here looks at.
fn info(oid: ObjectIdentifier, inner: &[u8]) -> Vec<u8> {
    let algorithm = AlgorithmIdentifierRef { oid, parameters: Some(AnyRef::NULL) };
    PrivateKeyInfo::new(algorithm, inner).to_der().unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let document = SecretDocument::try_from(der).unwrap();
    let label: &'static str = label.to_owned().leak();
    document.to_pem(label, LineEnding::LF).unwrap().to_string()
}

/// `SEQUENCE { INTEGER 0, OCTET STRING of 90 bytes }`, as long as a text must be to be a key.
fn inner() -> Vec<u8> {
    let mut der = vec![0x30, 0x5f, 0x02, 0x01, 0x00, 0x04, 0x5a];
    der.extend([7; 90]);
    der
}

fn encrypted(password: &str) -> Vec<u8> {
    let params = Parameters::pbkdf2_sha256_aes256cbc(16, b"saltsalt", &[1; 16]).unwrap();
    let der = info(RSA, &inner());
    let info = PrivateKeyInfo::try_from(der.as_slice()).unwrap();
    info.encrypt_with_params(params, password).unwrap().as_bytes().to_vec()
}

fn read(text: &str, passphrase: Option<&str>) -> Outcome<String> {
    let passphrase = passphrase.map(Secret::new);
    from_text(text, passphrase.as_ref(), "`private_key`").map(|key| key.expose().to_owned())
}

#[test]
fn every_form_of_a_key_becomes_the_same_pkcs8() {
    let wanted = pem("PRIVATE KEY", &info(RSA, &inner()));
    assert_eq!(read(&wanted, None).unwrap(), wanted);
    assert_eq!(read(&format!("\n{wanted}\n\n"), Some("unused")).unwrap(), wanted);
    assert_eq!(read(&pem("RSA PRIVATE KEY", &inner()), None).unwrap(), wanted);
    assert_eq!(read(&pem("ENCRYPTED PRIVATE KEY", &encrypted("pw")), Some("pw")).unwrap(), wanted);
    let body: String = wanted.lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(read(&body, None).unwrap(), wanted);
}

#[test]
fn what_is_wrong_with_a_key_is_said_without_saying_the_key() {
    let other = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    let damaged = pem("PRIVATE KEY", &info(RSA, &inner())).replace("MH", "!!");
    let cases = [
        (
            pem("ENCRYPTED PRIVATE KEY", &encrypted("pw")),
            None,
            "`private_key_passphrase` is not set",
        ),
        (pem("ENCRYPTED PRIVATE KEY", &encrypted("pw")), Some("hunter2"), "not opened by"),
        (pem("PRIVATE KEY", &info(other, &inner())), None, "not an RSA key"),
        (pem("EC PRIVATE KEY", &inner()), None, "`EC PRIVATE KEY`"),
        (pem("PUBLIC KEY", &inner()), None, "public key"),
        ("hello".to_owned(), None, "neither a PEM"),
        (damaged, None, "damaged"),
        ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n".to_owned(), None, "old way"),
    ];
    for (text, passphrase, wanted) in cases {
        let failure = read(&text, passphrase).unwrap_err();
        assert!(failure.message.contains(wanted), "{failure}");
        assert!(!failure.to_string().contains("hunter2"));
        assert!(!failure.to_string().contains("BwcHBw"), "{failure}");
    }
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let missing = from_file(&folder.path().join("none.p8"), None).unwrap_err();
    assert!(missing.message.contains("there is no file"), "{missing}");
    let binary = folder.path().join("key.der");
    std::fs::write(&binary, [0x30, 0x82, 0xff]).unwrap();
    let binary = from_file(&binary, None).unwrap_err();
    assert!(binary.message.contains("not a text file"), "{binary}");
    let good = folder.path().join("key.p8");
    std::fs::write(&good, pem("PRIVATE KEY", &info(RSA, &inner()))).unwrap();
    assert!(from_file(&good, None).is_ok());
}
