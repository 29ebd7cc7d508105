//! What is signed: a JSON object in the form `simple signing`, with cosign's type.

use flowctl_types::Digest;
use serde::{Deserialize, Serialize};

/// The media type of a payload.
pub(super) const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What `critical.type` must say.
const TYPE: &str = "cosign container image signature";
/// Most bytes of a payload. cosign writes about 250, and what its user notes.
pub(super) const MAX_BYTES: u64 = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: String,
}

/// Writes the payload for `digest` in `repository` (registry and repository), in the bytes
/// that cosign would write.
pub(super) fn write(repository: &str, digest: Digest) -> Vec<u8> {
    let payload = Payload {
        critical: Critical {
            identity: Identity { docker_reference: repository.to_owned() },
            image: Image { docker_manifest_digest: digest.to_string() },
            kind: TYPE.to_owned(),
        },
        optional: None,
    };
    serde_json::to_vec(&payload).expect("texts are JSON")
}

/// The digest and the repository that a payload names; `None` where it is not cosign's.
/// The repository is the signer's word for it: mirrors have other names.
pub(super) fn read(bytes: &[u8]) -> Option<(Digest, String)> {
    let Payload { critical, .. } = serde_json::from_slice(bytes).ok()?;
    if critical.kind != TYPE {
        return None;
    }
    Some((critical.image.docker_manifest_digest.parse().ok()?, critical.identity.docker_reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_written_byte_for_byte_as_cosign_does() {
        let digest = Digest::from_bytes([0xab; 32]);
        let want = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"r.example/a/b"}},"image":{{"docker-manifest-digest":"sha256:{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
            "ab".repeat(32)
        );
        assert_eq!(String::from_utf8(write("r.example/a/b", digest)).unwrap(), want);
    }

    #[test]
    fn payloads_of_other_kinds_name_no_digest() {
        let digest = Digest::of(b"x");
        let payload = String::from_utf8(write("r.example/a", digest)).unwrap();
        assert_eq!(read(payload.as_bytes()), Some((digest, "r.example/a".to_owned())));
        let noted = payload.replace("null", r#"{"creator":"me","timestamp":1}"#);
        assert_eq!(read(noted.as_bytes()), Some((digest, "r.example/a".to_owned())));
        let twice =
            payload.replace(r#""image":"#, &format!(r#""image":{{"docker-manifest-digest":"{digest}"}},"image":"#));
        for broken in [
            payload.replace("cosign container", "atomic container"),
            payload.replace("docker-manifest-digest", "Docker-manifest-digest"),
            payload.replace("sha256:", "sha512:"),
            payload.replace(r#""optional":null"#, r#""optional":[]"#),
            format!("{payload}x"),
            twice,
            String::new(),
        ] {
            assert_eq!(read(broken.as_bytes()), None, "{broken}");
        }
    }
}
