//! Memory, limits, and the sandbox of plugins, which is really started.

use std::fs;
use std::path::Path;

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
        Err(error) => checks.push(memory_remedy(Check::of_error("sandbox", error))),
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
        Some(Err(error)) => memory_remedy(Check::of_error("compiler", &anyhow::Error::new(error))),
    }
}

/// What to do where memory is refused, and the error does not say.
fn memory_remedy(check: Check) -> Check {
    if check.remedy.is_some() || !check.found.to_lowercase().contains("memory") {
        return check;
    }
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
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if let Some((limit, used)) = group_memory(Path::new("/sys/fs/cgroup"), &groups) {
        left = left.min(limit.saturating_sub(used));
        found.push_str(&format!("; the control group may use {}, and needs {}", bytes(limit), bytes(used)));
    }
    match left {
        left if left < TOO_LITTLE_MEMORY => {
            Check::failed("memory", found, "end what uses it (`top`), or raise the limit")
        }
        left if left < LITTLE_MEMORY => Check::warning("memory", found, "end what uses it (`top`), or raise the limit"),
        _ => Check::ok("memory", found),
    }
}

/// The tightest limit of the control group of this process or one above, and what is needed
/// of it: what was read from files and is not in use goes when there is no room. Groups lie
/// below `root`; `groups` is what the system says of those of this process.
fn group_memory(root: &Path, groups: &str) -> Option<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (root, limit, usage, cache) = match controllers {
            "" => (root.to_owned(), "memory.max", "memory.current", "inactive_file"),
            "memory" => (root.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            _ => continue,
        };
        let folder = root.join(path);
        let groups = folder.ancestors().take_while(|folder| folder.starts_with(&root));
        found.extend(groups.filter_map(|folder| {
            let used = number(folder.join(usage))?;
            let cached = statistic(&folder.join("memory.stat"), cache).unwrap_or_default();
            Some((number(folder.join(limit))?, used.saturating_sub(cached)))
        }));
    }
    // the older files have a number near 2^63 for none
    found.into_iter().filter(|(limit, _)| *limit < 1 << 60).min_by_key(|(limit, used)| limit.saturating_sub(*used))
}

/// A number of a file that has a name and a number a line.
fn statistic(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_files_are_kept_in_is_not_needed() {
        let root = tempfile::tempdir().unwrap();
        let group = |folder: &str, files: [(&str, &str); 3]| {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            files.into_iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
        };
        let stat = "anon 300\ninactive_file 600\nactive_file 50\n";
        group("pod/box", [("memory.max", "max\n"), ("memory.current", "950\n"), ("memory.stat", stat)]);
        group("pod", [("memory.max", "1000\n"), ("memory.current", "950\n"), ("memory.stat", stat)]);
        let stat = "inactive_file 1\ntotal_inactive_file 700\n";
        let names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"];
        group("memory/old", [(names[0], "2000\n"), (names[1], "1900\n"), (names[2], stat)]);
        let root = root.path();
        assert_eq!(group_memory(root, "0::/pod/box\n"), Some((1000, 350)));
        assert_eq!(group_memory(root, "5:cpu:/x\n4:memory:/old\n"), Some((2000, 1200)));
        assert_eq!(group_memory(root, "0::/nowhere\n"), None);
    }

    #[test]
    fn a_remedy_for_memory_is_given_where_memory_is_what_is_missing() {
        let remedy = |found: &str| memory_remedy(Check { remedy: None, ..Check::failed("sandbox", found, "") }).remedy;
        assert!(remedy("mmap failed to reserve 0x100 bytes: Cannot allocate memory (os error 12)").is_some());
        assert_eq!(remedy("cannot run the compiler: Permission denied (os error 13)"), None);
        let check = Check::failed("sandbox", "memory is missing", "add some");
        assert_eq!(memory_remedy(check).remedy.as_deref(), Some("add some"));
    }
}
