//! Keys that cosign and openssl write, and what is no key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use expect_test::{Expect, expect};
use flowctl_oci::auth::Secret;
use flowctl_oci::sign::{PublicKey, SigningKey};

use crate::memory::{public_key, text, vector};

const PASSWORD: &str = "for tests only";

fn password(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// `sigstore.key` with a part of its JSON replaced.
fn altered(from: &str, to: &str) -> String {
    let file = text("sigstore.key");
    let json = STANDARD.decode(file.lines().filter(|line| !line.starts_with("--")).collect::<String>()).unwrap();
    let json = String::from_utf8(json).unwrap();
    assert!(json.contains(from), "{json}");
    let lines = STANDARD.encode(json.replace(from, to));
    let lines: Vec<&str> = lines.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let label = "ENCRYPTED SIGSTORE PRIVATE KEY";
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn keys_of_cosign_open_with_their_password() {
    let file = text("sigstore.key");
    for file in [file.clone(), file.replace("SIGSTORE", "COSIGN")] {
        assert!(SigningKey::is_encrypted(file.as_bytes()));
        let key = SigningKey::from_pem(file.as_bytes(), Some(&password(PASSWORD))).unwrap();
        assert_eq!(*key.public_key(), public_key("sigstore.pub"));
    }
}

#[test]
fn keys_of_openssl_need_no_password() {
    let file = vector("openssl-p256.key");
    assert!(!SigningKey::is_encrypted(&file));
    let key = SigningKey::from_pem(&file, None).unwrap();
    assert_eq!(*key.public_key(), public_key("openssl-p256.pub"));
}

#[test]
fn fingerprints_are_those_that_openssl_and_sha256sum_tell() {
    for (name, want) in [
        ("sigstore.pub", "ECDSA P-256 sha256:1482c4f88da48534a303cfe91a54f27c6217f5316b585ac004f06b4f82f6b379"),
        ("openssl-p384.pub", "ECDSA P-384 sha256:c8c3d9c34e5e0ff700e13d966cc7744ccdcbe49d716ea90ce03c05127a0eba0b"),
        ("openssl-ed25519.pub", "Ed25519 sha256:ce3934b9311f0fa39ba1bab3074eaa35623241282ff20915a8dd4abea9e2b9a1"),
        ("openssl-rsa2048.pub", "RSA sha256:df7dcc63e4adbdef12c10d5d24c9043e930432e8672ffdb62aec0c5c8b796243"),
    ] {
        assert_eq!(public_key(name).to_string(), want);
    }
    // of a private key it is made, not read
    let key = SigningKey::from_pem(&vector("openssl-p256.key"), None).unwrap();
    assert!(key.public_key().to_string().ends_with("741012bd5775a2d0a980e887ca27a806719515edafb3fd800a9eee7d1ccc6b89"));
}

#[test]
fn what_cannot_sign_says_why_and_what_to_do() {
    let check = |file: &[u8], secret: Option<&str>, want: Expect| {
        let error = SigningKey::from_pem(file, secret.map(password).as_ref()).unwrap_err();
        assert!(!format!("{error}{error:?}").contains(PASSWORD));
        want.assert_eq(&format!("{error}; hint: {}", error.hint().unwrap_or("none")));
    };
    let known = Some(PASSWORD);
    check(
        b"",
        None,
        expect!["it is no PEM file with a key; hint: `cosign generate-key-pair` makes a pair that can be used"],
    );
    check(
        &[0xff; 100],
        None,
        expect!["it is no PEM file with a key; hint: `cosign generate-key-pair` makes a pair that can be used"],
    );
    check(
        &vector("sigstore.key"),
        None,
        expect!["the key is encrypted, and there is no password; hint: set COSIGN_PASSWORD, or run it in a terminal"],
    );
    check(
        &vector("sigstore.key"),
        Some("wrong"),
        expect!["the password does not open the key, or the key is damaged; hint: none"],
    );
    check(
        &vector("sigstore.pub"),
        None,
        expect![
            "it holds a `PUBLIC KEY` where a private key of PKCS#8 or of cosign is needed; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
    check(
        &vector("openssl-sec1.key"),
        None,
        expect![
            "it holds a `EC PRIVATE KEY` where a private key of PKCS#8 or of cosign is needed; hint: `openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW` writes it as it must be"
        ],
    );
    check(
        &vector("openssl-encrypted.key"),
        Some("x"),
        expect![
            "it holds a `ENCRYPTED PRIVATE KEY` where a private key of PKCS#8 or of cosign is needed; hint: `cosign import-key-pair --key KEY` writes it as it must be"
        ],
    );
    check(
        &vector("openssl-ed25519.key"),
        None,
        expect![
            "its key is Ed25519, which cannot be used here: keys that sign are ECDSA on P-256; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
    check(
        &vector("openssl-rsa.key"),
        None,
        expect![
            "its key is RSA, which cannot be used here: keys that sign are ECDSA on P-256; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
    check(
        altered("32768", "1073741824").as_bytes(),
        known,
        expect![
            "the key is encrypted in a way that cosign does not use: the costs of its scrypt are others; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
    check(
        altered("32768", "32769").as_bytes(),
        known,
        expect![
            "the key is encrypted in a way that cosign does not use: the costs of its scrypt are others; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
    check(
        altered("32768", "0").as_bytes(),
        known,
        expect![
            "the key is encrypted in a way that cosign does not use: the costs of its scrypt are others; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
    check(
        altered("\"r\":8", "\"r\":4294967295").as_bytes(),
        known,
        expect![
            "the key is encrypted in a way that cosign does not use: the costs of its scrypt are others; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
    check(
        altered("scrypt", "argon2").as_bytes(),
        known,
        expect![
            "the key is encrypted in a way that cosign does not use: its key is not derived by scrypt; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
    check(
        altered("nacl/secretbox", "none").as_bytes(),
        known,
        expect![
            "the key is encrypted in a way that cosign does not use: its cipher is not nacl/secretbox; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
    check(
        altered("\"nonce\":\"", "\"nonce\":\"AAAA").as_bytes(),
        known,
        expect![
            "the key is encrypted in a way that cosign does not use: its nonce has another length; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
    check(
        altered("\"ciphertext\":\"", "\"ciphertext\":\"AAAA").as_bytes(),
        known,
        expect!["the password does not open the key, or the key is damaged; hint: none"],
    );
    check(
        altered("{\"kdf\"", "[{\"kdf\"").as_bytes(),
        known,
        expect![
            "the key is encrypted in a way that cosign does not use: it is not the JSON object that cosign writes; hint: `cosign generate-key-pair` makes a pair that can be used"
        ],
    );
}

#[test]
fn public_keys_that_cannot_be_used_are_refused() {
    let check = |file: &[u8], want: Expect| want.assert_eq(&PublicKey::from_pem(file).unwrap_err().to_string());
    check(b"ssh-ed25519 AAAA", expect!["it is no PEM file with a key"]);
    check(&vector("openssl-p256.key"), expect!["it holds a `PRIVATE KEY` where a `PUBLIC KEY` is needed"]);
    check(
        &vector("openssl-p521.pub"),
        expect![
            "its key is ECDSA on P-521, which cannot be used here: public keys are ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits"
        ],
    );
    check(
        &vector("openssl-rsa1024.pub"),
        expect![
            "its key is RSA of another size, which cannot be used here: public keys are ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits"
        ],
    );
    // more base64 than there are whole bytes
    let file = text("openssl-p256.pub").replace("\n-----END", "AA\n-----END");
    check(file.as_bytes(), expect!["it is no PEM file with a key"]);
}

#[test]
fn a_file_may_hold_several_public_keys() {
    let both = format!("first\n{}\nsecond\n{}\n", text("sigstore.pub"), text("openssl-p384.pub"));
    let found = PublicKey::all_from_pem(&both).unwrap();
    assert_eq!(found, [public_key("sigstore.pub"), public_key("openssl-p384.pub")]);
    let broken = both.replace("PUBLIC KEY-----\nM", "PUBLIC KEY-----\n!");
    for text in ["", "no key", &broken, &both.repeat(33)] {
        assert!(PublicKey::all_from_pem(text).is_err(), "{text}");
    }
}

#[test]
fn debug_of_a_key_shows_its_public_half_only() {
    let key = SigningKey::from_pem(&vector("openssl-p256.key"), None).unwrap();
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.public_key()));
}
