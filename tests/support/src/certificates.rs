//! Certificates for a server that takes TLS: an authority, what it signed for the
//! server's names and for a client, and an authority that signed nothing.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Where the certificates are.
#[derive(Debug)]
pub struct Certificates {
    /// Of the authority that signed the server's and the client's.
    pub authority: PathBuf,
    /// Of the authority that signed nothing.
    pub stranger: PathBuf,
    /// The server's.
    pub certificate: PathBuf,
    /// Its private key, which the owner alone may read.
    pub key: PathBuf,
    /// A client's.
    pub client_certificate: PathBuf,
    /// Its private key.
    pub client_key: PathBuf,
}

impl Certificates {
    /// Makes them in `folder`, for a server of these names and addresses.
    ///
    /// # Panics
    ///
    /// When the folder cannot be written.
    pub fn make(folder: &Path, names: &[&str]) -> Self {
        let of = Self {
            authority: folder.join("ca.pem"),
            stranger: folder.join("other-ca.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
            client_certificate: folder.join("client.pem"),
            client_key: folder.join("client.key"),
        };
        let write = |path: &Path, text: String| {
            std::fs::write(path, text).expect("the temporary folder can be written");
        };
        let issuer = authority("the test's authority", |text| write(&of.authority, text));
        authority("another authority", |text| write(&of.stranger, text));
        for (names, certificate, key) in
            [(names, &of.certificate, &of.key), (&["client"][..], &of.client_certificate, &of.client_key)]
        {
            let pair = KeyPair::generate().expect("a key can be made");
            let params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
                .expect("names are names");
            write(certificate, params.signed_by(&pair, &issuer).expect("the authority can sign").pem());
            write(key, pair.serialize_pem());
        }
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
