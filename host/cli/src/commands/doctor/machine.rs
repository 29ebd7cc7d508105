//! Memory, limits, and the sandbox of plugins, which is really started.

use std::fs;
use std::path::{Path, PathBuf};

use flowctl_engine::Engine;
use rustix::process::{Resource, getrlimit};

use super::check::{Check, bytes};
use super::within;
use crate::session;

/// Below this, pipelines run out of files soon.
const FEW_FILES: u64 = 1_024;
/// Below this, not even small pipelines run.
const TOO_FEW_FILES: u64 = 256;
/// Enough for a control plane.
const MANY_FILES: u64 = 65_536;
/// Compiling a plugin and running it takes about as much.
const LITTLE_MEMORY: u64 = 512 << 20;
const TOO_LITTLE_MEMORY: u64 = 64 << 20;

pub(super) async fn check() -> Vec<Check> {
    let started = tokio::task::spawn_blocking(session::trial_engine).await;
    let engine = started.map_err(anyhow::Error::new).and_then(|engine| engine);
    let mut checks = Vec::new();
    match &engine {
        Err(error) => checks.push(sandbox_remedy(Check::of_error("sandbox", error))),
        Ok(engine) => {
            checks.extend([address_space(engine), maps(engine)]);
            checks.push(compiler(engine).await);
        }
    }
    checks.extend([memory(), overcommit(), open_files()]);
    checks
}

/// What the pool of instances got.
fn address_space(engine: &Engine) -> Check {
    let plan = engine.memory_plan();
    let limit = getrlimit(Resource::As).current;
    let limit = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("`ulimit -v` is {}", bytes(limit)));
    let (n, each) = (plan.n_instances, bytes(plan.reservation_bytes));
    if plan.is_pooled {
        let all = bytes(plan.reservation_bytes.saturating_mul(n.into()));
        return Check::ok("address space", format!("{limit}; {all} for {n} instances of plugins, {each} each"));
    }
    let found = format!("{limit}, too little for {n} instances of {each}: plugins start more slowly");
    Check::warning("address space", found, "ulimit -v unlimited")
}

/// The kernel's limit on maps, which the engine fits its pool to.
fn maps(engine: &Engine) -> Check {
    let limit = number("/proc/sys/vm/max_map_count");
    let shown = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("`vm.max_map_count` is {limit}"));
    match engine.warnings().iter().find(|warning| warning.contains("max_map_count")) {
        None => Check::ok("memory maps", shown),
        Some(warning) => {
            let (found, remedy) = warning.split_once(": ").unwrap_or((warning, ""));
            let command = remedy.split('`').nth(1).unwrap_or("sysctl -w vm.max_map_count=65530");
            Check::warning("memory maps", found, command)
        }
    }
}

/// Compiles something and runs it.
async fn compiler(engine: &Engine) -> Check {
    match within(engine.try_out()).await {
        None => Check::failed(
            "compiler",
            "compiling an empty plugin takes longer than 5 s",
            "see what else keeps the processors busy: `top`",
        ),
        Some(Ok(trial)) => Check::ok(
            "compiler",
            format!(
                "its process works: an empty plugin took {} ms, an instance {} µs",
                trial.compile_time.as_millis(),
                trial.start_time.as_micros()
            ),
        ),
        Some(Err(error)) => {
            let check = Check::of_error("compiler", &anyhow::Error::new(error));
            sandbox_remedy(check)
        }
    }
}

/// What keeps the sandbox from starting is almost always a limit on memory.
fn sandbox_remedy(check: Check) -> Check {
    match getrlimit(Resource::As).current {
        Some(_) => check.with("ulimit -v unlimited"),
        None => check.with("see that memory is free: `free -h`"),
    }
}

/// What is free, of the machine and of the group that this process is in.
fn memory() -> Check {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    };
    let Some((free, total)) = field("MemAvailable").zip(field("MemTotal")) else {
        return Check::skipped("memory", "this system does not say how much is free");
    };
    let mut found = format!("{} of {} available", bytes(free), bytes(total));
    let mut left = free;
    if let Some((limit, used)) = group_memory() {
        left = left.min(limit.saturating_sub(used));
        found.push_str(&format!("; the control group may use {}, and uses {}", bytes(limit), bytes(used)));
    }
    match left {
        left if left < TOO_LITTLE_MEMORY => {
            Check::failed("memory", found, "end what uses it (`top`), or raise the limit")
        }
        left if left < LITTLE_MEMORY => Check::warning("memory", found, "end what uses it (`top`), or raise the limit"),
        _ => Check::ok("memory", found),
    }
}

/// The tightest limit of this process's control group or one above, and what is used of it.
fn group_memory() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut found: Vec<(u64, u64)> = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (root, limit, usage) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max", "memory.current"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
            _ => continue,
        };
        let folder: PathBuf = Path::new(root).join(path);
        let groups = folder.ancestors().take_while(|folder| folder.starts_with(root));
        found.extend(groups.filter_map(|folder| Some((number(folder.join(limit))?, number(folder.join(usage))?))));
    }
    // the older files have a number near 2^63 for none
    found.into_iter().filter(|(limit, _)| *limit < 1 << 60).min_by_key(|(limit, used)| limit.saturating_sub(*used))
}

fn overcommit() -> Check {
    match number("/proc/sys/vm/overcommit_memory") {
        None => Check::skipped("overcommit", "this system has no such setting"),
        Some(2) => Check::warning(
            "overcommit",
            "`vm.overcommit_memory` is 2: memory is refused that nobody uses yet",
            "sysctl -w vm.overcommit_memory=0",
        ),
        Some(mode) => Check::ok("overcommit", format!("`vm.overcommit_memory` is {mode}")),
    }
}

fn open_files() -> Check {
    let limits = getrlimit(Resource::Nofile);
    let Some(limit) = limits.current else { return Check::ok("open files", "no limit") };
    let most = limits.maximum.map_or_else(|| "unlimited".to_owned(), |most| most.to_string());
    let found = format!("`ulimit -n` is {limit}, of {most}");
    let remedy = match limits.maximum {
        Some(most) if most < FEW_FILES => "ulimit -n 65536, as root: the hard limit is too low".to_owned(),
        most => format!("ulimit -n {}", most.unwrap_or(MANY_FILES).min(MANY_FILES)),
    };
    match limit {
        limit if limit < TOO_FEW_FILES => {
            Check::failed("open files", format!("{found}: a pipeline needs {TOO_FEW_FILES}"), remedy)
        }
        limit if limit < FEW_FILES => {
            Check::warning("open files", format!("{found}: several pipelines need more"), remedy)
        }
        _ => Check::ok("open files", found),
    }
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
