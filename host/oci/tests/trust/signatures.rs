//! Signing and verifying, against signatures that others made.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use expect_test::{Expect, expect};
use flowctl_oci::auth::Secret;
use flowctl_oci::sign::{Signed, SigningKey, push, tag_of, verify};
use flowctl_types::Digest;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;

use crate::memory::{Memory, REPOSITORY, SIGNATURE, artifact, layer, openssl_key, public_key, text, vector};

fn sigstore_key() -> SigningKey {
    let password = Secret::new("for tests only".to_owned());
    SigningKey::from_pem(&vector("sigstore.key"), Some(&password)).unwrap()
}

fn payload_of(digest: Digest) -> String {
    text("payload").replace(&artifact().to_string(), &digest.to_string())
}

async fn fails(memory: &Memory, keys: &[&str], want: Expect) {
    let keys: Vec<_> = keys.iter().map(|name| public_key(name)).collect();
    let error = verify(memory, artifact(), &keys).await.unwrap_err();
    want.assert_eq(&error.to_string());
}

#[tokio::test]
async fn signatures_that_others_made_verify() {
    let payload = vector("payload");
    for (key, signature) in [
        ("sigstore.pub", "sigstore.sig"),
        ("openssl-p256.pub", "openssl-p256.sig"),
        ("openssl-p384.pub", "openssl-p384-sha256.sig"),
        ("openssl-p384.pub", "openssl-p384-sha384.sig"),
        ("openssl-ed25519.pub", "openssl-ed25519.sig"),
        ("openssl-rsa2048.pub", "openssl-rsa2048.sig"),
    ] {
        let memory = Memory::with_layers(&[layer(&payload, &text(signature))], &[&payload]);
        let verified = verify(&memory, artifact(), &[public_key(key)]).await.expect(signature);
        assert_eq!((verified.digest, verified.repository.as_str()), (artifact(), REPOSITORY));
        assert_eq!(verified.key, public_key(key));
    }
}

#[tokio::test]
async fn what_we_sign_verifies_with_another_implementation() {
    for (key, name) in [(sigstore_key(), "sigstore.pub"), (openssl_key(), "openssl-p256.pub")] {
        let memory = Memory::default();
        let signed = push(&memory, artifact(), &key).await.unwrap();
        assert_eq!(signed, Signed::Added { tag: tag_of(artifact()) });
        let layer = memory.signatures()["layers"][0].clone();
        let payload = memory.blob_of(&layer);
        assert_eq!(payload, vector("payload"));
        let signature = layer["annotations"][SIGNATURE].as_str().unwrap();
        let signature = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature).unwrap();
        let theirs = VerifyingKey::from_public_key_pem(&text(name)).unwrap();
        theirs.verify(&payload, &Signature::from_der(&signature).unwrap()).unwrap();
        verify(&memory, artifact(), &[public_key(name)]).await.unwrap();
    }
}

#[tokio::test]
async fn manifest_of_signatures_is_laid_out_as_cosign_does() {
    let memory = Memory::default();
    push(&memory, artifact(), &openssl_key()).await.unwrap();
    let manifest = memory.signatures();
    let payload = vector("payload");
    let config = memory.blob_of(&manifest["config"]);
    let signature = manifest["layers"][0]["annotations"][SIGNATURE].clone();
    let want = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            // what every manifest of one signature by cosign has
            "size": 233,
            "digest": Digest::of(&config),
        },
        "layers": [layer(&payload, signature.as_str().unwrap())],
    });
    assert_eq!(manifest, want);
    let want = format!(
        r#"{{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{{"created":"0001-01-01T00:00:00Z"}}],"os":"","rootfs":{{"type":"layers","diff_ids":["{}"]}},"config":{{}}}}"#,
        Digest::of(&payload)
    );
    assert_eq!(config, want);
    assert_eq!(tag_of(artifact()), format!("sha256-{}.sig", artifact().to_hex()));
}

#[tokio::test]
async fn signing_keeps_what_others_signed_as_it_is() {
    let payload = vector("payload");
    let mut theirs = layer(&payload, &text("sigstore.sig"));
    theirs["annotations"]["dev.sigstore.cosign/bundle"] = "{}".into();
    theirs["urls"] = serde_json::json!(["https://a.example"]);
    let memory = Memory::with_layers(std::slice::from_ref(&theirs), &[&payload]);
    push(&memory, artifact(), &openssl_key()).await.unwrap();
    let manifest = memory.signatures();
    assert_eq!(manifest["layers"][0], theirs);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    for name in ["sigstore.pub", "openssl-p256.pub"] {
        verify(&memory, artifact(), &[public_key(name)]).await.unwrap();
    }
    let config: serde_json::Value = serde_json::from_slice(&memory.blob_of(&manifest["config"])).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn signing_twice_changes_nothing() {
    let memory = Memory::default();
    push(&memory, artifact(), &openssl_key()).await.unwrap();
    let before = memory.signatures();
    let signed = push(&memory, artifact(), &openssl_key()).await.unwrap();
    assert_eq!(signed, Signed::Before { tag: tag_of(artifact()) });
    assert_eq!(memory.signatures(), before);
}

#[tokio::test]
async fn a_signature_that_was_overwritten_is_written_again() {
    let payload = vector("payload");
    let other = Memory::with_layers(&[layer(&payload, &text("sigstore.sig"))], &[]);
    let intruder = Bytes::from(other.signatures().to_string());
    let memory = Memory::default();
    memory.put(&payload);
    memory.intruders.lock().unwrap().extend([intruder.clone(), intruder.clone()]);
    push(&memory, artifact(), &openssl_key()).await.unwrap();
    assert_eq!(memory.n_written.load(Ordering::Relaxed), 3);
    for name in ["sigstore.pub", "openssl-p256.pub"] {
        verify(&memory, artifact(), &[public_key(name)]).await.unwrap();
    }
    let memory = Memory::default();
    memory.put(&payload);
    memory.intruders.lock().unwrap().extend(vec![intruder; 4]);
    let error = push(&memory, artifact(), &openssl_key()).await.unwrap_err();
    assert!(error.to_string().contains("changed by others 4 times"), "{error}");
}

#[tokio::test]
async fn one_good_signature_among_bad_ones_is_enough() {
    let payload = vector("payload");
    let of_another = payload_of(Digest::of(b"another"));
    let mut unreadable = layer(&payload, "!");
    unreadable["annotations"] = serde_json::Value::Null;
    let layers = [
        layer(&payload, "!"),
        unreadable,
        layer(of_another.as_bytes(), &text("openssl-p256.sig")),
        layer(b"missing", &text("openssl-p256.sig")),
        layer(&payload, &text("sigstore.sig")),
        layer(&payload, &text("openssl-p256.sig")),
    ];
    let memory = Memory::with_layers(&layers, &[&payload, of_another.as_bytes()]);
    verify(&memory, artifact(), &[public_key("openssl-ed25519.pub"), public_key("openssl-p256.pub")]).await.unwrap();
}

#[tokio::test]
async fn what_is_not_signed_by_a_wanted_key_is_refused() {
    let payload = vector("payload");
    let good = text("openssl-p256.sig");
    let keys = ["openssl-p256.pub"];
    fails(&Memory::default(), &keys, expect!["`sha256:88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890` is not signed: there is no `sha256-88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890.sig`"]).await;
    fails(
        &Memory::default(),
        &[],
        expect![
            "there is no key to verify `sha256:88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890` with"
        ],
    )
    .await;
    fails(&Memory::with_layers(&[], &[]), &keys, expect!["`sha256:88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890` has no signature by a wanted key: 0 looked at, none there"]).await;
    let memory = Memory::with_layers(&[layer(&payload, &good)], &[&payload]);
    fails(&memory, &["sigstore.pub", "openssl-rsa2048.pub"], expect!["`sha256:88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890` has no signature by a wanted key: 1 looked at, 1 by another key or altered"]).await;
    // the payload was replaced by one that names another artifact, under its own digest
    let other = payload_of(Digest::of(b"another"));
    let memory = Memory::with_layers(&[layer(other.as_bytes(), &good)], &[other.as_bytes()]);
    fails(&memory, &keys, expect!["`sha256:88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890` has no signature by a wanted key: 1 looked at, 1 by another key or altered"]).await;
    // the store hands out other bytes than it was asked for
    let memory = Memory::with_layers(&[layer(&payload, &good)], &[]);
    memory.damage(Digest::of(&payload), b"{}");
    fails(&memory, &keys, expect!["`sha256:88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890` has no signature by a wanted key: 1 looked at, 1 not readable"]).await;
    let memory = Memory::with_layers(&[layer(&payload, &good)], &[]);
    fails(&memory, &keys, expect!["cannot read a signed payload of `sha256-88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890.sig`"]).await;
    // of another media type, without an annotation, with one that is too long
    let mut kind = layer(&payload, &good);
    kind["mediaType"] = "application/json".into();
    let mut silent = layer(&payload, &good);
    silent["annotations"] = serde_json::json!({});
    let mut large = layer(&payload, &good);
    large["size"] = (1 << 20).into();
    let layers = [kind, silent, large, layer(&payload, &"A".repeat(4000))];
    let memory = Memory::with_layers(&layers, &[&payload]);
    fails(&memory, &keys, expect!["`sha256:88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890` has no signature by a wanted key: 4 looked at, 4 not readable"]).await;
    assert_eq!(memory.n_blobs_read.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_good_signature_of_another_artifact_is_refused_here() {
    let memory = Memory::default();
    let another = Digest::of(b"another");
    push(&memory, another, &openssl_key()).await.unwrap();
    let other = Memory::default();
    push(&other, another, &openssl_key()).await.unwrap();
    // the signatures of one are put at the tag of the other
    use flowctl_oci::sign::SignatureStore;
    let manifest = memory.manifest(&tag_of(another)).await.unwrap().unwrap();
    memory.put_tag(&tag_of(artifact()), &manifest);
    fails(&memory, &["openssl-p256.pub"], expect!["`sha256:88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890` has no signature by a wanted key: 1 looked at, 1 of another artifact"]).await;
}

#[tokio::test]
async fn manifests_that_hold_no_signatures_are_refused() {
    let check = async |manifest: &str, want: Expect| {
        let memory = Memory::default();
        memory.put_tag(&tag_of(artifact()), manifest.as_bytes());
        fails(&memory, &["sigstore.pub"], want).await;
        let error = push(&memory, artifact(), &openssl_key()).await.unwrap_err();
        assert!(error.to_string().contains(".sig`"), "{error}");
        assert_eq!(memory.n_written.load(Ordering::Relaxed), 0);
    };
    check("", expect!["`sha256-88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890.sig` is no manifest of signatures: EOF while parsing a value at line 1 column 0"]).await;
    check("{}", expect!["`sha256-88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890.sig` is no manifest of signatures: missing field `schemaVersion` at line 1 column 2"]).await;
    check(
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","layers":[]}"#,
        expect!["`sha256-88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890.sig` is no manifest of signatures: it is not an image manifest"],
    )
    .await;
    check(r#"{"schemaVersion":"\u001b[2J","layers":[]}"#, expect![[r#"`sha256-88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890.sig` is no manifest of signatures: invalid type: string "\u{1b}[2J", expected u32 at line 1 column 28"#]]).await;
    let layer = layer(b"x", "").to_string();
    let many = vec![layer; 129].join(",");
    check(&format!(r#"{{"schemaVersion":2,"layers":[{many}]}}"#), expect!["`sha256-88f004afa2cd628148c295b02ae29bc5000f278dd2b23061197ee61fee54f890.sig` has 129 signatures, and more than 128 are not looked at"]).await;
}

#[tokio::test]
async fn manifests_with_dockers_media_types_are_read_and_kept() {
    let payload = vector("payload");
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let memory = Memory::with_layers(&[layer(&payload, &text("sigstore.sig"))], &[&payload]);
    let mut manifest = memory.signatures();
    manifest["mediaType"] = docker.into();
    manifest["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json".into();
    memory.put_tag(&tag_of(artifact()), manifest.to_string().as_bytes());
    push(&memory, artifact(), &openssl_key()).await.unwrap();
    let after = memory.signatures();
    assert_eq!(after["mediaType"], docker);
    assert_eq!(after["config"]["mediaType"], "application/vnd.docker.container.image.v1+json");
    verify(&memory, artifact(), &[public_key("sigstore.pub")]).await.unwrap();
}
