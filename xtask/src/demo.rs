//! The flagship pipeline, run from a fresh clone: Stellar ledgers to token transfers.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::guests;
use crate::shell::{self, Workspace};

/// The files of the shared data that hold ledgers of the main network.
const MAINNET: [&str; 2] = ["ledgers-base64.txt", "FCD285FF--53312000.xdr.zstd"];

/// Transfers that are printed; all of them are in the file.
const SHOWN: usize = 10;

/// Builds guests and host, runs the pipeline, prints transfers and a summary.
pub(crate) fn run(workspace: &Workspace, n_ledgers: u32) -> Result<()> {
    let plugins = guests::build(workspace)?;
    // the same selection as `cargo test` makes, so that dependencies are built once
    shell::run(&mut workspace.cargo(["build", "--bin", "flowctl"]))?;

    let folder = workspace.target.join("demo");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let transfers = folder.join("transfers.jsonl");
    let summary = folder.join("summary.json");
    let pipeline = folder.join("transfers.yaml");
    let ledgers = match real_ledgers(workspace) {
        Some(data) => {
            println!("real mainnet ledgers from {}", data.display());
            let ledgers = folder.join("mainnet");
            gather(&data, &ledgers)?;
            format!("{{path: '{}/*', network: pubnet}}", ledgers.display())
        }
        None => {
            println!("{n_ledgers} generated ledgers: set FLOWCTL_STELLAR_DATA to a folder of real ones");
            format!("{{generate: {{ledgers: {n_ledgers}, seed: 1}}, network: testnet}}")
        }
    };
    let network = if ledgers.contains("pubnet") { "pubnet" } else { "testnet" };
    let text = format!(
        "apiVersion: flowctl/v2\nkind: Topology\nmetadata: {{name: transfers}}\nspec:\n  from: stellar.ledger.v1\n  \
         to: file\n  via: [ttp-processor]\n  config:\n    stellar-ledgers: {ledgers}\n    \
         ttp-processor: {{network: {network}}}\n    file: {{path: '{}'}}\n",
        transfers.display()
    );
    fs::write(&pipeline, &text).with_context(|| format!("cannot write `{}`", pipeline.display()))?;
    if transfers.exists() {
        fs::remove_file(&transfers).with_context(|| format!("cannot remove `{}`", transfers.display()))?;
    }
    println!("{text}");

    let mut flowctl = Command::new(workspace.flowctl());
    flowctl.arg("run").arg(&pipeline).arg("--plugins").arg(plugins).arg("--summary").arg(&summary);
    flowctl.arg("--state-dir").arg(folder.join("state")).current_dir(&workspace.root);
    shell::run(&mut flowctl)?;
    print_transfers(&transfers)?;
    println!("\nall transfers: {}\nsummary: {}", transfers.display(), summary.display());
    println!("{}", fs::read_to_string(&summary).with_context(|| format!("cannot read `{}`", summary.display()))?);
    Ok(())
}

fn real_ledgers(workspace: &Workspace) -> Option<PathBuf> {
    let root = match std::env::var_os("FLOWCTL_STELLAR_DATA") {
        Some(root) => PathBuf::from(root),
        None => workspace.root.join("../shared/stellar"),
    };
    let data = root.join("data");
    data.join("ledgers-base64.txt").is_file().then(|| data.canonicalize().unwrap_or(data))
}

/// Makes `folder` hold the ledgers of the main network, and nothing else of `data`.
fn gather(data: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    for name in MAINNET {
        let (from, to) = (data.join(name), folder.join(name));
        fs::copy(&from, &to).with_context(|| format!("cannot copy `{}`", from.display()))?;
    }
    Ok(())
}

/// Prints the first transfers, and how many there are of each kind.
fn print_transfers(path: &Path) -> Result<()> {
    let file = fs::File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut kinds = BTreeMap::<String, u64>::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read `{}`", path.display()))?;
        let event: serde_json::Value = serde_json::from_str(&line).context("a transfer is not JSON")?;
        let kind = event["kind"].as_str().context("a transfer has no kind")?;
        *kinds.entry(kind.to_owned()).or_default() += 1;
        if index < SHOWN {
            println!("{line}");
        }
    }
    let total: u64 = kinds.values().sum();
    if total == 0 {
        bail!("the pipeline wrote no transfers");
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    println!("… {total} events: {}", kinds.join(", "));
    Ok(())
}
