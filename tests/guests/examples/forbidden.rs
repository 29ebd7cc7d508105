//! Tries the doors: the environment, a file, a connection, a name, its input. Answers
//! one event with a line for each that opened.
//!
//! Each event it is given is `env NAME`, `file PATH`, `write PATH`, `connect ADDRESS`,
//! `listen ADDRESS`, `lookup NAME` or `input`.

use std::io::Read;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};

fn door(what: &str) -> Result<String, String> {
    let (kind, argument) = what.split_once(' ').unwrap_or((what, ""));
    let text = |error: std::io::Error| error.to_string();
    match kind {
        "env" => std::env::var(argument).map_err(|error| error.to_string()),
        "file" => std::fs::read_to_string(argument).map_err(text),
        "write" => std::fs::write(argument, "x").map(|()| "written".to_owned()).map_err(text),
        "connect" => TcpStream::connect(argument).map(|_| "connected".to_owned()).map_err(text),
        "listen" => TcpListener::bind(argument).map(|_| "listening".to_owned()).map_err(text),
        "lookup" => (argument, 80).to_socket_addrs().map(|found| format!("{} found", found.count())).map_err(text),
        _ => {
            let mut input = String::new();
            let n = std::io::stdin().read_to_string(&mut input).map_err(text)?;
            if n == 0 { Err("empty".to_owned()) } else { Ok(input) }
        }
    }
}

flowctl_test_guests::guest!(|events| {
    let (mut data, mut ends, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    let mut origins = Vec::new();
    let mut start = 0;
    for (index, end) in events.ends.iter().enumerate() {
        let what = String::from_utf8_lossy(&events.data[start..*end as usize]).into_owned();
        start = *end as usize;
        match door(&what) {
            Ok(found) => {
                data.extend_from_slice(found.as_bytes());
                ends.push(data.len() as u32);
                origins.push(index as u32);
            }
            Err(reason) => rejected.push(Rejection { index: index as u32, reason }),
        }
    }
    let timestamps = vec![0; ends.len()];
    Ok(Outcome { outputs: vec![Batch { timestamps, ends, data, origins, ..events }], rejected })
});
