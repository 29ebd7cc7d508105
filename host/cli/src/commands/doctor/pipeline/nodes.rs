//! What the nodes of a plan touch: servers, files, folders, programs.

use std::path::Path;

use flowctl_connectors::Reach;
use flowctl_topology::{Component, Node, Topology};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::super::check::{Check, bytes};
use super::super::{disk, within};
use crate::output::shell_word;

/// Checks everything that nodes touch, all at once.
pub(super) async fn check(topology: &Topology) -> Vec<Check> {
    let nodes = topology.nodes.iter().chain(&topology.dead_letter);
    let checks = futures_util::future::join_all(nodes.map(node)).await;
    checks.into_iter().flatten().collect()
}

async fn node(node: &Node) -> Vec<Check> {
    let name = format!("node {}", node.id);
    let Reach { reads, writes, dials, listens, .. } = flowctl_connectors::reach(node, None);
    let mut checks = Vec::new();
    if let Component::Command { argv, .. } = &node.component {
        checks.push(program(&name, argv.first().map_or("", String::as_str)));
    }
    checks.extend(reads.iter().map(|path| read(&name, path)));
    checks.extend(writes.iter().map(|path| write(&name, path)));
    checks.extend(node.grants.dirs.iter().map(|path| read(&name, path)));
    match within(flowctl_connectors::log_in(node, None)).await {
        // whoever logged in has connected
        Some(Some(Ok(who))) => checks.push(Check::ok(&name, format!("logged in to {who}"))),
        Some(Some(Err(why))) => {
            let place = dials.join(", ");
            checks.push(Check::failed(&name, why, format!("start the server at {place}, or correct the node's `url`")));
        }
        Some(None) => checks.extend(futures_util::future::join_all(dials.iter().map(|to| dial(&name, to))).await),
        None => checks.push(silent(&name, &dials.join(", "))),
    }
    checks.extend(futures_util::future::join_all(listens.iter().map(|at| listen(&name, at))).await);
    checks
}

/// Whether the program of a `command:` node is there.
fn program(name: &str, program: &str) -> Check {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let is_there = match program.contains('/') {
        true => Path::new(program).is_file(),
        false => std::env::split_paths(&search).any(|folder| folder.join(program).is_file()),
    };
    match is_there {
        true => Check::ok(name, format!("the program `{program}` is there")),
        false => Check::failed(name, format!("there is no program `{program}`"), "install it, or correct `command:`"),
    }
}

/// Whether a file, or what a folder lists, can be read.
fn read(name: &str, path: &Path) -> Check {
    let shown = path.display();
    let opened = match path.is_dir() {
        true => std::fs::read_dir(path).map(|_| format!("the folder `{shown}` can be read")),
        false => std::fs::File::open(path)
            .and_then(|file| file.metadata())
            .map(|file| format!("`{shown}` can be read, {}", bytes(file.len()))),
    };
    match opened {
        Ok(found) => Check::ok(name, found),
        Err(error) => Check::failed(
            name,
            format!("cannot read `{shown}`: {error}"),
            format!("see what is there: `ls -ld {}`", shell_word(path)),
        ),
    }
}

/// Whether a file can be written, or made in its folder.
fn write(name: &str, path: &Path) -> Check {
    let shown = path.display();
    if path.is_file() {
        return match rustix::fs::access(path, rustix::fs::Access::WRITE_OK) {
            Ok(()) => Check::ok(name, format!("`{shown}` is there, and can be written")),
            Err(error) => Check::failed(
                name,
                format!("cannot write `{shown}`: {error}"),
                format!("chmod u+w {}", shell_word(path)),
            ),
        };
    }
    let folder = path.parent().unwrap_or(path);
    let (there, word) = (folder.display(), shell_word(folder));
    match disk::try_write(folder) {
        Ok(()) => Check::ok(name, format!("`{shown}` can be made")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Check::failed(name, format!("there is no folder `{there}`"), format!("mkdir -p {word}"))
        }
        Err(error) => Check::failed(
            name,
            format!("cannot write to `{there}`: {error}"),
            format!("see what is there: `ls -ld {word}`, `df -h {word}`"),
        ),
    }
}

/// Whether somebody answers at `to`: `host:port`, or the path of a socket.
async fn dial(name: &str, to: &str) -> Check {
    let connected = within(async {
        match to.starts_with('/') {
            true => UnixStream::connect(to).await.map(drop),
            false => TcpStream::connect(to).await.map(drop),
        }
    });
    match connected.await {
        Some(Ok(())) => Check::ok(name, format!("`{to}` can be reached")),
        Some(Err(error)) => Check::failed(
            name,
            format!("cannot reach `{to}`: {error}"),
            "start the server, or correct the node's configuration",
        ),
        None => silent(name, to),
    }
}

fn silent(name: &str, to: &str) -> Check {
    Check::failed(name, format!("`{to}` does not answer within 5 s"), "see that it can be reached from here")
}

async fn listen(name: &str, at: &str) -> Check {
    match TcpListener::bind(at).await {
        Ok(_) => Check::ok(name, format!("`{at}` is free")),
        Err(error) => Check::failed(
            name,
            format!("cannot listen at `{at}`: {error}"),
            "end what listens there (`ss -ltnp`), which may be this pipeline; or write another address",
        ),
    }
}
