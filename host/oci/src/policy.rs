//! Which plugins need which signatures: a policy file.
//!
//! ```yaml
//! rules:
//!   - match: ghcr.io/acme/**            # everything below
//!     keys: [acme.pub]                  # PEM files, relative to the policy
//!   - match: ghcr.io/acme/try/*         # exactly one part more
//!     unsigned: allow
//!   - match: registry.example:5000/ttp  # exactly this
//!     keys:
//!       - |
//!         -----BEGIN PUBLIC KEY-----
//!         …
//! ```
//!
//! Invariant: what no rule matches is denied. The rule that says most wins: the one with
//! the longest text before its wildcard, at equal length the exact one, then `*`, then
//! `**`; so the order of rules means nothing. All faults of a file are reported at once.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use crate::sign::PublicKey;

/// Most bytes of a policy, or of a file of keys.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Which plugins need which signatures.
#[derive(Debug, Clone)]
pub struct Policy {
    path: PathBuf,
    rules: Vec<Rule>,
}

/// What a policy demands of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand<'a> {
    /// A signature by one of these keys.
    Signature(&'a [PublicKey]),
    /// Nothing: it may be unsigned.
    Nothing,
    /// It must not be used, signed or not: no rule is about it.
    Denied,
}

/// A fault in a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFault {
    /// The line, from 1; 0 where the file does not tell.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What is wrong.
    pub text: String,
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file could not be read.
    #[error("cannot read the policy `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The file is no policy.
    #[error("{}", listed(path, faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it.
        faults: Vec<PolicyFault>,
    },
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    /// None where it may be unsigned.
    keys: Option<Vec<PublicKey>>,
}

/// Ordered by how much it says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// What a name begins with: without wildcard all of it, else up to and with the slash.
    prefix: String,
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Below,
    OnePart,
    Exact,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    rules: Vec<Spanned<RawRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    r#match: Spanned<String>,
    keys: Option<Vec<Spanned<String>>>,
    unsigned: Option<Unsigned>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unsigned {
    Allow,
}

impl Policy {
    /// Reads the policy at `path`, and the keys that it names.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] when a file cannot be read or is not as described.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let failed = |source| PolicyError::Read { path: path.to_owned(), source };
        let text = read_bounded(path).map_err(failed)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(path, &text, |name| read_bounded(&folder.join(name)))
    }

    /// Reads a policy's text. `path` is for messages; `read_keys` reads a file of keys by
    /// the name that the policy has for it.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Faults`] with everything that is wrong.
    pub fn parse(path: &Path, text: &str, read_keys: impl Fn(&str) -> io::Result<String>) -> Result<Self, PolicyError> {
        let failed = |faults| PolicyError::Faults { path: path.to_owned(), faults };
        let raw: RawPolicy = serde_saphyr::from_str(text).map_err(|error| {
            let at = error.location().unwrap_or(Location::UNKNOWN);
            failed(vec![PolicyFault::at(at, message(&error))])
        })?;
        let mut faults = Vec::new();
        let mut rules: Vec<Rule> = Vec::new();
        for Spanned { value, referenced, .. } in raw.rules {
            let written = &value.r#match;
            let pattern = Pattern::parse(&written.value);
            match &pattern {
                None => faults.push(PolicyFault::at(
                    written.referenced,
                    format!("`{}` matches nothing: write a registry and a repository, with `/*` or `/**` at most at its end", written.value),
                )),
                Some(pattern) if rules.iter().any(|rule| rule.pattern == *pattern) => faults
                    .push(PolicyFault::at(written.referenced, format!("`{}` has a rule already", written.value))),
                Some(_) => {}
            }
            let keys = match (value.keys, value.unsigned) {
                (Some(names), None) if !names.is_empty() => Some(read_all(&names, &read_keys, &mut faults)),
                (None, Some(Unsigned::Allow)) => None,
                _ => {
                    let text = "a rule has either `keys`, at least one, or `unsigned: allow`";
                    faults.push(PolicyFault::at(referenced, text.to_owned()));
                    continue;
                }
            };
            rules.extend(pattern.map(|pattern| Rule { pattern, keys }));
        }
        if faults.is_empty() { Ok(Self { path: path.to_owned(), rules }) } else { Err(failed(faults)) }
    }

    /// What is demanded of a plugin, by its registry and repository: `ghcr.io/acme/ttp`,
    /// without tag and digest.
    #[must_use]
    pub fn demand(&self, name: &str) -> Demand<'_> {
        let matching = self.rules.iter().filter(|rule| rule.pattern.matches(name));
        match matching.max_by_key(|rule| (rule.pattern.prefix.len(), rule.pattern.reach)) {
            None => Demand::Denied,
            Some(Rule { keys: None, .. }) => Demand::Nothing,
            Some(Rule { keys: Some(keys), .. }) => Demand::Signature(keys),
        }
    }

    /// The file, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let (prefix, reach) = match text.strip_suffix('*') {
            None => (text, Reach::Exact),
            Some(rest) => match rest.strip_suffix('*') {
                None => (rest, Reach::OnePart),
                Some(rest) => (rest, Reach::Below),
            },
        };
        let is_wild = reach != Reach::Exact;
        let body = if is_wild { prefix.strip_suffix('/').unwrap_or(prefix) } else { prefix };
        let is_everything = reach == Reach::Below && prefix.is_empty();
        let ends_well = !is_wild || prefix.ends_with('/');
        let is_name = body.split('/').all(|part| !part.is_empty())
            && body.chars().all(|c| !c.is_whitespace() && !c.is_control() && !c.is_uppercase() && !"*?@".contains(c));
        // an exact name has a registry and a repository; a tag is no part of it
        let is_whole = is_wild || body.split_once('/').is_some_and(|(_, repository)| !repository.contains(':'));
        (is_everything || ends_well && is_name && is_whole).then(|| Self { prefix: prefix.to_owned(), reach })
    }

    fn matches(&self, name: &str) -> bool {
        match (name.strip_prefix(&self.prefix), self.reach) {
            (None, _) => false,
            (Some(rest), Reach::Exact) => rest.is_empty(),
            (Some(rest), Reach::OnePart) => !rest.is_empty() && !rest.contains('/'),
            (Some(rest), Reach::Below) => !rest.is_empty(),
        }
    }
}

impl PolicyFault {
    fn at(location: Location, text: String) -> Self {
        Self { line: location.line(), column: location.column(), text }
    }
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, text } = self;
        write!(f, "{line}:{column}: {text}")
    }
}

fn read_all(
    names: &[Spanned<String>],
    read_keys: &impl Fn(&str) -> io::Result<String>,
    faults: &mut Vec<PolicyFault>,
) -> Vec<PublicKey> {
    let mut keys = Vec::new();
    for Spanned { value, referenced, .. } in names {
        let is_inline = value.contains("-----BEGIN ");
        let shown = if is_inline { "the key written here" } else { value.as_str() };
        let text = if is_inline { Ok(value.clone()) } else { read_keys(value) };
        let found = match text {
            Ok(text) => PublicKey::all_from_pem(&text).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(found) => keys.extend(found),
            Err(reason) => faults.push(PolicyFault::at(*referenced, format!("cannot read `{shown}`: {reason}"))),
        }
    }
    keys
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB"));
    }
    Ok(text)
}

/// The parser's text, without the place and the excerpt that it adds.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or("it is no YAML");
    line.rsplit_once(" at line ").map_or(line, |(text, _)| text).to_owned()
}

fn listed(path: &Path, faults: &[PolicyFault]) -> String {
    let lines: Vec<String> = faults.iter().map(|fault| format!("{}:{fault}", path.display())).collect();
    lines.join("\n")
}
