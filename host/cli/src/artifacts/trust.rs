//! Which plugins may be used: signatures by keys of the command line, or by those that a
//! policy names.
//!
//! Where neither is, everything may. A key of the command line is demanded beside the
//! policy, not in its place. What was admitted is marked in the store with the key, so that
//! a start without the network can tell.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use async_trait::async_trait;
use flowctl_oci::auth::Secret;
use flowctl_oci::policy::{Demand, Policy, PolicyError};
use flowctl_oci::sign::{self, PublicKey, Repository};
use flowctl_oci::{Admission, ArtifactManifest, Client, Entry, Marks, Refusal, RegistryRef};
use flowctl_types::{Code, Reference};

use crate::artifacts::settings::Settings;
use crate::paths::read_text;
use crate::report::{Hinted, hinted};

/// The mark of an artifact in the store: the fingerprints of the keys whose signatures it
/// was admitted by, separated by commas.
const SIGNED_BY: &str = "signed-by";
/// Largest file of keys that is read.
const MAX_KEY_BYTES: u64 = 1 << 20;

/// Who has a say in what is pulled and run.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    policy: Option<Policy>,
    /// Of the command line; empty = no signature is demanded by it.
    keys: Vec<PublicKey>,
}

/// Why an artifact may not be used.
#[derive(Debug, thiserror::Error)]
enum Untrusted {
    #[error("no rule of the policy `{}` is about `{name}`", .policy.display())]
    Denied { policy: PathBuf, name: String },
    #[error(transparent)]
    Signature(#[from] sign::SignatureError),
}

impl Trust {
    /// Reads the policy of `settings` and the files of `keys`.
    pub(crate) fn load(settings: &Settings, keys: &[PathBuf]) -> Result<Self> {
        let policy = settings.policy.as_deref().map(Policy::load).transpose().map_err(|error| unusable(&error))?;
        let mut all = Vec::new();
        for path in keys {
            let what = || format!("cannot use `{}` as a public key", path.display());
            let text = read_text(path, MAX_KEY_BYTES).with_context(what)?;
            all.extend(PublicKey::all_from_pem(&text).map_err(|error| {
                let hint = error.hint().map(str::to_owned);
                hinted(hint, anyhow::Error::new(error).context(what()))
            })?);
        }
        Ok(Self { policy, keys: all })
    }

    /// What a pull asks, where anybody has a say.
    pub(crate) fn admission(&self) -> Option<&dyn Admission> {
        (self.policy.is_some() || !self.keys.is_empty()).then_some(self)
    }

    /// Whether what a layout holds may be used: signatures lie in registries only, so where
    /// they are demanded a layout's plugins are not.
    pub(crate) fn check_layout(&self, path: &Path) -> Result<()> {
        let by = match (&self.policy, self.keys.is_empty()) {
            (None, true) => return Ok(()),
            (Some(policy), _) => format!("the policy `{}`", policy.path().display()),
            (None, false) => "`--verify-key`".to_owned(),
        };
        Err(Hinted::coded(
            Code::SignatureMissing,
            format!("the plugins in the layout `{}` have no signatures, which {by} asks for", path.display()),
            "push the plugin to a registry with `flowctl push --sign KEY`, and name it there",
        ))
    }

    /// Whether an artifact of the store may be used for `reference`, by the marks of its pull.
    /// The rule that counts is the one about the name that it is used by.
    pub(crate) fn admits(&self, reference: &Reference, held: &Entry) -> bool {
        match reference {
            Reference::Oci { .. } => {
                let named = RegistryRef::from_reference(reference, None);
                named.is_ok_and(|named| self.admits_held(&named, &held.manifest, &held.marks))
            }
            _ => self.admission().is_none(),
        }
    }

    /// The sets of keys of each of which a signature is needed.
    fn demands<'a>(&'a self, reference: &RegistryRef) -> Result<Vec<&'a [PublicKey]>, Untrusted> {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let mut demands = Vec::new();
        match self.policy.as_ref().map(|policy| (policy, policy.demand(&name))) {
            None | Some((_, Demand::Nothing)) => {}
            Some((_, Demand::Signature(keys))) => demands.push(keys),
            Some((policy, Demand::Denied)) => {
                return Err(Untrusted::Denied { policy: policy.path().to_owned(), name });
            }
        }
        if !self.keys.is_empty() {
            demands.push(&self.keys);
        }
        Ok(demands)
    }
}

#[async_trait]
impl Admission for Trust {
    async fn admit(
        &self,
        client: &Client,
        reference: &RegistryRef,
        manifest: &ArtifactManifest,
    ) -> Result<Marks, Refusal> {
        let signatures = Repository::new(client, reference);
        let mut signers = Vec::new();
        for keys in self.demands(reference)? {
            let verified = sign::verify(&signatures, manifest.digest, keys).await.map_err(Untrusted::from)?;
            signers.push(verified.key.fingerprint().to_string());
        }
        signers.dedup();
        Ok(match signers.is_empty() {
            true => Marks::new(),
            false => Marks::from([(SIGNED_BY.to_owned(), signers.join(","))]),
        })
    }

    fn admits_held(&self, reference: &RegistryRef, _: &ArtifactManifest, marks: &Marks) -> bool {
        let signers = signers(marks).unwrap_or_default();
        let is_signed = |keys: &&[PublicKey]| {
            keys.iter().any(|key| signers.split(',').any(|signer| signer == key.fingerprint().to_string()))
        };
        self.demands(reference).is_ok_and(|demands| demands.iter().all(is_signed))
    }
}

/// The keys that an artifact of the store was admitted by, as it is marked.
pub(crate) fn signers(marks: &Marks) -> Option<&str> {
    marks.get(SIGNED_BY).map(String::as_str)
}

/// What opens the private key in `path`: COSIGN_PASSWORD, where it is encrypted.
pub(crate) fn password_of_key(path: &Path, is_encrypted: bool) -> Result<Option<Secret>> {
    if !is_encrypted {
        return Ok(None);
    }
    match std::env::var("COSIGN_PASSWORD") {
        Ok(password) => Ok(Some(Secret::new(password))),
        Err(_) => Err(Hinted::error(
            format!("the key `{}` is encrypted, and there is no password for it", path.display()),
            "set COSIGN_PASSWORD, which may be empty",
        )),
    }
}

/// The error of a policy that cannot be used.
pub(crate) fn unusable(error: &PolicyError) -> anyhow::Error {
    Hinted::error(
        error.to_string(),
        "`rules: [{match: registry/name/**, keys: [key.pub]}, {match: …, unsigned: allow}]` is the form of a policy",
    )
}
