//! What an error of the server means for a sink.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

/// What has to happen after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The connection is gone, and its transaction with it; the server may come back.
    Broken,
    /// The transaction is gone; another one may pass.
    Passing,
    /// A row breaks a rule of the table, and others may not.
    Row,
    /// Trying again would not help.
    Lasting,
}

impl Meaning {
    /// What `error`, which came on a connection that stood, means.
    pub(super) fn of(error: &Error) -> Self {
        match error.as_db_error() {
            Some(error) => Self::of_code(error.code().code()),
            None if error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>()) => {
                Self::Broken
            }
            None => Self::Lasting,
        }
    }

    /// What `error`, which came instead of a connection, means.
    pub(super) fn of_refusal(error: &Error) -> Self {
        let mut cause = error.source();
        while let Some(source) = cause {
            // a handshake that fails for what the certificate says fails again
            if source.is::<rustls::Error>() {
                return Self::Lasting;
            }
            // an I/O error skips what it wraps when it is asked for its cause
            let wrapped = source.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            cause = wrapped.map(|wrapped| wrapped as &(dyn std::error::Error + 'static)).or_else(|| source.source());
        }
        Self::of(error)
    }

    fn of_code(code: &str) -> Self {
        match code {
            // shut down, crashed, starting up, idle for too long
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => Self::Broken,
            // read-only after a failover, a lock that was not to be had, cancelled
            "25006" | "55P03" | "57014" => Self::Passing,
            // no such character in the server's encoding, too long for an index, raised by a trigger, not in the view
            "22P05" | "54000" | "P0001" | "44000" => Self::Row,
            code => match code.get(..2) {
                Some("08") => Self::Broken,
                // deadlocks and the like, no disk or memory left, the system failed
                Some("40" | "53" | "58") => Self::Passing,
                Some("23") => Self::Row,
                _ => Self::Lasting,
            },
        }
    }
}

/// The error as text: what the server says and about what, or the causes one by one.
pub(super) fn text(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return server_text(error);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn server_text(error: &DbError) -> String {
    let mut text = error.message().to_owned();
    if let Some(detail) = error.detail() {
        text += &format!(": {}", detail.trim_end_matches('.'));
    }
    let about = [("column", error.column()), ("constraint", error.constraint())];
    for (word, name) in about.iter().filter_map(|(word, name)| Some((word, (*name)?))) {
        if !text.contains(&format!("\"{name}\"")) {
            text += &format!(", {word} \"{name}\"");
        }
    }
    if error.code().code() == "55P03" {
        text += "; another transaction holds what this one writes: do two sinks write the same keys?";
    }
    format!("{text} (SQLSTATE {})", error.code().code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_has_to_happen() {
        use Meaning::{Broken, Lasting, Passing, Row};
        for (meaning, codes) in [
            (Broken, &["57P01", "57P02", "57P03", "08006", "08P01"][..]),
            (Passing, &["40001", "40P01", "53100", "55P03", "58030"]),
            (Row, &["23505", "23514", "23502", "P0001"]),
            (Lasting, &["22003", "42P01", "42501", "28P01", "3D000"]),
        ] {
            for code in codes {
                assert_eq!(Meaning::of_code(code), meaning, "{code}");
            }
        }
    }
}
