//! Certificates for a server that takes TLS: an authority, what it signed for
//! `localhost`, and an authority that signed nothing.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::programs::Programs;

/// Where the certificates are.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) authority: PathBuf,
    pub(super) stranger: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// Makes them in `folder`.
    pub(super) fn make(programs: &Programs, folder: &Path) -> Self {
        let of = Self {
            authority: folder.join("ca.pem"),
            stranger: folder.join("other-ca.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
        };
        let write = |path: &Path, text: String| {
            std::fs::write(path, text).expect("the temporary folder can be written");
        };
        let issuer = authority("the test's authority", |text| write(&of.authority, text));
        authority("another authority", |text| write(&of.stranger, text));
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("localhost is a name");
        let certificate = params.signed_by(&key, &issuer).expect("the authority can sign");
        write(&of.certificate, certificate.pem());
        write(&of.key, key.serialize_pem());
        std::fs::set_permissions(&of.key, Permissions::from_mode(0o600)).expect("the file was just made");
        programs.hand_over(&of.key);
        of
    }

    /// The server's settings that turn TLS on.
    pub(super) fn settings(&self) -> [String; 3] {
        [
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", self.certificate.display()),
            format!("ssl_key_file={}", self.key.display()),
        ]
    }
}

fn authority(name: &str, write: impl FnOnce(String)) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key can be made");
    write(params.self_signed(&key).expect("an authority can sign itself").pem());
    Issuer::new(params, key)
}
