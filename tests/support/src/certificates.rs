//! Certificates for a server that takes TLS: an authority, what it signed for the
//! server's names, and an authority that signed nothing.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Where the certificates are.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// Of the authority that signed the server's.
    pub(crate) authority: PathBuf,
    /// Of the authority that signed nothing.
    pub(crate) stranger: PathBuf,
    /// The server's.
    pub(crate) certificate: PathBuf,
    /// Its private key, which the owner alone may read.
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Makes them in `folder`, for a server of these names and addresses.
    pub(crate) fn make(folder: &Path, names: &[&str]) -> Self {
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
        let params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
            .expect("a server's names are names");
        let certificate = params.signed_by(&key, &issuer).expect("the authority can sign");
        write(&of.certificate, certificate.pem());
        write(&of.key, key.serialize_pem());
        std::fs::set_permissions(&of.key, Permissions::from_mode(0o600)).expect("the file was just made");
        of
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
