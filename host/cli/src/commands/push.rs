//! `flowctl push FILE REF`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use flowctl_oci::sign::{self, Repository, Signed, SigningKey};
use flowctl_oci::{Artifact, Created, Layout, push, push_to_layout};
use flowctl_types::Reference;
use serde::Serialize;

use crate::artifacts::args::RegistryArgs;
use crate::artifacts::{Artifacts, Bars, password_of_key};
use crate::help::examples;
use crate::output::{self, Format};
use crate::paths::read_text;
use crate::report::{Hinted, hinted};
use crate::{catalog, status};

/// Largest file of a key that is read.
const MAX_KEY_BYTES: u64 = 1 << 20;

/// Put a plugin into a registry, or into an OCI layout on disk
///
/// The artifact is laid out as the CNCF has it for Wasm, with the event types and the component's own metadata as
/// annotations. The same bytes make the same artifact: its time is SOURCE_DATE_EPOCH, or a constant.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl push ttp-processor.wasm registry.example/plugins/ttp-processor:1.2.0", ""),
    ("flowctl push ttp-processor.wasm registry.example/plugins/ttp-processor:1.2.0 --sign cosign.key", ""),
    ("flowctl push ttp-processor.wasm oci-layout:./layout:1.2.0", "a layout on disk"),
]))]
pub(crate) struct Push {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Where it goes: `registry/repository:tag`, or `oci-layout:PATH:TAG`
    #[arg(value_name = "REF")]
    reference: Reference,
    /// Sign it with this private key, as cosign does; COSIGN_PASSWORD opens one that is encrypted
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Show no progress and no status
    #[arg(short, long)]
    quiet: bool,
    /// How to print what was pushed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Pushed {
    reference: String,
    digest: String,
    component: String,
    size_bytes: u64,
    signature: Option<String>,
}

impl Push {
    /// Pushes it.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let contract = catalog::contract(&self.file)?;
        let bytes = std::fs::read(&self.file).with_context(|| format!("cannot read `{}`", self.file.display()))?;
        let artifact = Artifact::pack(bytes.into(), &contract, created()?);
        let artifact = artifact.map_err(|error| hinted(error.hint(), error))?;
        let key = self.sign.as_deref().map(signing_key).transpose()?;
        let artifacts = Artifacts::new(self.registry)?;
        let mut pushed = Pushed {
            reference: self.reference.to_string(),
            digest: artifact.digest().to_string(),
            component: contract.digest.to_string(),
            size_bytes: contract.size_bytes,
            signature: None,
        };
        match &self.reference {
            Reference::Layout { digest: Some(_), .. } | Reference::Oci { digest: Some(_), .. } => {
                return Err(Hinted::usage(
                    format!("`{}` has a digest, which only what is there has", self.reference),
                    "push to a tag",
                ));
            }
            Reference::Layout { path, tag, .. } => {
                if key.is_some() {
                    return Err(Hinted::usage(
                        "a layout has no place for signatures",
                        "push to a registry with `--sign`, or leave it out",
                    ));
                }
                let layout = Layout::create(path).map_err(|error| hinted(error.hint(), error))?;
                push_to_layout(&artifact, &layout, tag.as_deref()).map_err(|error| hinted(error.hint(), error))?;
            }
            Reference::File(path) => {
                return Err(Hinted::usage(
                    format!("`{}` is a file, no place in a registry", path.display()),
                    "write `registry/repository:tag`, or `oci-layout:PATH:TAG`",
                ));
            }
            reference => {
                let reference = artifacts.registry_ref(reference)?;
                let client = artifacts.client(&[reference.registry()])?;
                let bars = Bars::new(self.quiet);
                let sent = artifacts.wait(push(&client, &artifact, &reference, &bars))?;
                drop(bars);
                let digest = sent.map_err(|error| hinted(error.hint(), error))?;
                pushed.reference = reference.to_string();
                pushed.digest = digest.to_string();
                if let Some(key) = key {
                    let place = Repository::new(&client, &reference);
                    let signed = artifacts.wait(sign::push(&place, digest, &key))?;
                    let signed = signed.map_err(|error| hinted(error.hint().map(str::to_owned), error))?;
                    let (Signed::Added { tag } | Signed::Before { tag }) = signed;
                    pushed.signature = Some(format!("{}/{}:{tag}", reference.registry(), reference.repository()));
                }
            }
        }
        if !self.quiet {
            status::say(&format!("Pushed {} ({} bytes)", pushed.reference, pushed.size_bytes));
            if let Some(signature) = &pushed.signature {
                status::say(&format!("Signed: {signature}"));
            }
        }
        // what a script wants of it: the digest to pin
        output::value(self.output, &pushed, || pushed.digest.clone())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// When the artifact says that it was made.
fn created() -> Result<Created> {
    let Some(said) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|said| !said.is_empty()) else {
        return Ok(Created::default());
    };
    let seconds = said.to_str().and_then(|text| text.parse().ok());
    let seconds = seconds.ok_or_else(|| {
        Hinted::error(
            format!("SOURCE_DATE_EPOCH is `{}`, no number of seconds", said.display()),
            "set it to seconds since 1970, or not at all",
        )
    })?;
    Ok(Created::from_unix_seconds(seconds)?)
}

fn signing_key(path: &Path) -> Result<SigningKey> {
    let what = || format!("cannot sign with `{}`", path.display());
    let file = read_text(path, MAX_KEY_BYTES).with_context(what)?;
    let password = password_of_key(path, SigningKey::is_encrypted(file.as_bytes()))?;
    SigningKey::from_pem(file.as_bytes(), password.as_ref()).map_err(|error| {
        let hint = error.hint().map(str::to_owned);
        hinted(hint, anyhow::Error::new(error).context(what()))
    })
}
