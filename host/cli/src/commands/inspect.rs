//! `flowctl inspect FILE.wasm` and `flowctl inspect REF`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_oci::{ArtifactManifest, Layout, RegistryRef, WasmConfig, sign};
use flowctl_types::Reference;
use serde::Serialize;

use crate::artifacts::args::RegistryArgs;
use crate::artifacts::{Artifacts, refused};
use crate::commands::describe::Description;
use crate::help::examples;
use crate::pipeline::near_file;
use crate::report::hinted;
use crate::{catalog, output};

/// Longest configuration that is read.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Show what a plugin's bytes say of it, or what a registry says
///
/// Of a file: name, version, role, event types with their fields, the configuration with its defaults, what the plugin
/// asks for beyond the standard library's imports, size and digest. Nothing of the plugin is run. Of an artifact in a
/// registry or a layout: what its manifest and its configuration say, without downloading the component; `flowctl
/// pull` holds that against the bytes.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl inspect ttp-processor.wasm", "a file"),
    ("flowctl inspect registry.example/plugins/ttp-processor:1.2.0", "what a registry says"),
    ("flowctl inspect oci-layout:./layout:1.2.0 --output json", "a layout on disk"),
]))]
pub(crate) struct Inspect {
    /// The component's file, or a reference such as `registry/repository:tag` or `oci-layout:PATH:TAG`
    #[arg(value_name = "FILE.wasm | REF")]
    reference: Reference,
    #[command(flatten)]
    registry: RegistryArgs,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: output::Format,
}

/// What is said of an artifact, unproven.
#[derive(Serialize)]
struct Artifact {
    reference: String,
    digest: String,
    name: Option<String>,
    version: Option<String>,
    role: Option<String>,
    description: Option<String>,
    input_types: Vec<String>,
    output_types: Vec<String>,
    contract: Option<String>,
    created: String,
    component: String,
    size_bytes: u64,
    imports: Vec<String>,
    exports: Vec<String>,
    annotations: BTreeMap<String, String>,
    /// The tag of its signatures, where there are any; nobody looked at them.
    signatures: Option<String>,
}

impl Inspect {
    /// Reads what was named and prints what it says.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let artifacts = Artifacts::new(self.registry)?;
        let artifact = match &self.reference {
            Reference::File(path) => return file(path, self.output),
            // a component may be called anything
            Reference::Name { name, version: None } if Path::new(name).is_file() => {
                return file(Path::new(name), self.output);
            }
            Reference::Layout { path, tag, digest } => {
                let layout = Layout::open(path).map_err(|error| hinted(error.hint(), error))?;
                let read = layout.find(tag.as_deref(), *digest).and_then(|found| {
                    let artifact = layout.artifact(None, Some(found.digest))?;
                    Ok((artifact.parsed().clone(), artifact.config().clone()))
                });
                let (manifest, config) = read.map_err(|error| hinted(error.hint(), error))?;
                Artifact::new(self.reference.to_string(), &manifest, &config, None)?
            }
            reference => of_registry(&artifacts, &artifacts.registry_ref(reference)?)?,
        };
        output::value(self.output, &artifact, || artifact.text())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn file(path: &Path, format: output::Format) -> Result<ExitCode> {
    let contract = catalog::contract(path).map_err(|error| {
        let near = (!path.exists()).then(|| near_file(path)).flatten();
        hinted(near, error)
    })?;
    let description = Description::of_contract(&contract, &path.display().to_string());
    output::value(format, &description, || description.text())?;
    Ok(ExitCode::SUCCESS)
}

fn of_registry(artifacts: &Artifacts, reference: &RegistryRef) -> Result<Artifact> {
    let client = artifacts.client(&[reference.registry()])?;
    artifacts.wait(async {
        let (bytes, digest) = client.manifest(reference).await.map_err(refused)?;
        let manifest = ArtifactManifest::read(&bytes).map_err(|error| hinted(error.hint(), error))?;
        let config = client.small_blob(reference, &manifest.config, MAX_CONFIG_BYTES).await.map_err(refused)?;
        let tag = sign::tag_of(digest);
        let signatures = reference.at_tag(&tag).map_err(|error| hinted(None, error))?;
        let is_signed = client.has_manifest(&signatures).await.map_err(refused)?.is_some();
        Artifact::new(reference.to_string(), &manifest, &config, is_signed.then_some(tag))
    })?
}

impl Artifact {
    fn new(reference: String, manifest: &ArtifactManifest, config: &[u8], signatures: Option<String>) -> Result<Self> {
        let config = WasmConfig::read(config).map_err(|error| hinted(error.hint(), error))?;
        config.check(manifest).map_err(|error| hinted(error.hint(), error))?;
        let facts = manifest.facts.as_ref();
        let types = |types: &[flowctl_types::EventType]| types.iter().map(ToString::to_string).collect::<Vec<_>>();
        let lists = config.component.as_ref();
        Ok(Self {
            reference,
            digest: manifest.digest.to_string(),
            name: facts.map(|facts| facts.name.clone()),
            version: facts.and_then(|facts| facts.version.clone()),
            role: facts.map(|facts| facts.role.to_string()),
            description: facts.and_then(|facts| facts.description.clone()),
            input_types: facts.map(|facts| types(&facts.inputs)).unwrap_or_default(),
            output_types: facts.map(|facts| types(&facts.outputs)).unwrap_or_default(),
            contract: facts.map(|facts| format!("flowctl:processor@{}", facts.abi)),
            created: config.created.clone(),
            component: manifest.layer.digest.to_string(),
            size_bytes: manifest.layer.size,
            imports: lists.map(|lists| lists.imports.clone()).unwrap_or_default(),
            exports: lists.map(|lists| lists.exports.clone()).unwrap_or_default(),
            annotations: manifest.annotations.clone(),
            signatures,
        })
    }

    /// The form for people.
    fn text(&self) -> String {
        let list = |items: &[String]| (!items.is_empty()).then(|| items.join(", "));
        let known: Vec<(&str, Option<String>)> = vec![
            ("reference", Some(self.reference.clone())),
            ("digest", Some(self.digest.clone())),
            ("name", self.name.clone()),
            ("version", self.version.clone()),
            ("role", self.role.clone()),
            ("description", self.description.clone()),
            ("input", list(&self.input_types)),
            ("output", list(&self.output_types)),
            ("contract", self.contract.clone()),
            ("created", Some(self.created.clone())),
            ("component", Some(self.component.clone())),
            ("size", Some(format!("{} bytes", self.size_bytes))),
            ("exports", list(&self.exports)),
            ("imports", list(&self.imports)),
            ("signatures", Some(self.signatures.clone().unwrap_or_else(|| "none".to_owned()))),
        ];
        let lines = known.into_iter().filter_map(|(label, value)| Some(format!("{label:<13}{}\n", value?)));
        let mut text: String = lines.collect();
        if self.name.is_none() {
            text.push_str("\nIt has no annotations of flowctl: pull it to learn its types.\n");
        }
        text
    }
}
