//! A store whose users are killed at any moment: nothing half is ever listed.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use super::market::{Market, files, held, run_orders, stamped, store};
use super::stores::noise;

/// How often pulls are killed.
const N_KILLS: usize = 50;
/// How much of the component is noise: enough that pulls die in its download too.
const N_BYTES: usize = 8 << 20;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("artifacts::a_store_survives_fifty_kills_and_lists_nothing_half", killed)]
}

fn killed() -> Result<(), Failed> {
    let market = Market::new();
    let components = [stamped(b"small"), stamped(&noise(N_BYTES))];
    let digests: Vec<String> = components
        .iter()
        .zip(["small", "large"])
        .map(|(component, name)| market.push(component, &format!("acme/{name}:1")))
        .collect();
    let pull = format!("pull --no-compile --quiet {} {}", market.at("acme/small:1"), market.at("acme/large:1"));
    let mut whole = whole_pull(&market, &pull)?;
    let (mut n_pulls, mut n_killed, mut n_parts) = (0, 0, 0);
    while n_killed < N_KILLS {
        let is_killed = is_killed_within(whole, &market, &pull)?;
        n_pulls += 1;
        n_killed += usize::from(is_killed);
        n_parts += files(&store(&market.flowctl).join("ingest")).len();
        whatever_is_listed_is_whole(&market, &components)?;
        // once all of it is there, nothing is left to be killed in
        if held(&market.flowctl).len() == 2 {
            fs::remove_dir_all(store(&market.flowctl))?;
        }
        // one that came to its end was perhaps quicker than those before
        if !is_killed {
            whole = whole.min(whole_pull(&market, &pull)?);
        }
    }
    println!("{n_killed} of {n_pulls} pulls killed, {n_parts} times in a download; a whole one takes {whole:?}");
    market.flowctl.run(&pull).success();
    let mut listed: Vec<String> =
        held(&market.flowctl).iter().map(|row| row["digest"].as_str().unwrap_or_default().to_owned()).collect();
    listed.sort();
    let mut wanted = digests;
    wanted.sort();
    assert_eq!(listed, wanted);
    market.flowctl.run("plugins gc").success();
    assert_eq!(files(&store(&market.flowctl)).len(), 3 + 2 * 3);
    whatever_is_listed_is_whole(&market, &components)?;
    market.pipeline(&format!("plugin: '{}'", market.at("acme/small:1")));
    run_orders(&market.flowctl, "");
    Ok(())
}

/// How long it takes to pull all into an empty store, which is empty again then.
fn whole_pull(market: &Market, pull: &str) -> Result<Duration, Failed> {
    let begin = Instant::now();
    market.flowctl.run(pull).success();
    let whole = begin.elapsed();
    fs::remove_dir_all(store(&market.flowctl))?;
    Ok(whole)
}

/// Kills a pull within that time, and answers whether it had not ended before.
fn is_killed_within(whole: Duration, market: &Market, pull: &str) -> Result<bool, Failed> {
    let mut child = market.flowctl.command(pull).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let random = RandomState::new().build_hasher().finish();
    let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
    // the moment of its death is what is random
    std::thread::park_timeout(whole.mul_f64(share));
    child.kill()?;
    let ended = child.wait()?;
    let is_killed = ended.signal() == Some(9);
    assert!(is_killed || ended.success(), "{ended}");
    Ok(is_killed)
}

fn whatever_is_listed_is_whole(market: &Market, components: &[Vec<u8>]) -> Result<(), Failed> {
    for row in held(&market.flowctl) {
        let bytes = fs::read(row["path"].as_str().unwrap_or_default())?;
        if !components.contains(&bytes) {
            return Err(format!("{} is listed, and is not whole", row["reference"]).into());
        }
    }
    Ok(())
}
