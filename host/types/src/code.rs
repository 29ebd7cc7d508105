//! The codes of errors: names by which `flowctl explain` tells more.
//!
//! Invariant: every code has a text, `docs/errors/CODE.md`, and every text a code; a code
//! keeps its name for good. An error without a code is one that its own words explain.

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares the codes; each takes its text from the file of its name.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What kind of error it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All codes, by subject.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, such as `unknown-event-type`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The text that explains it, as Markdown.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("../../../docs/errors/", $name, ".md")),)*
                }
            }
        }
    };
}

codes! {
    // a pipeline file by itself
    /// The file is no YAML, or has what pipelines do not use of it.
    YamlSyntax = "yaml-syntax",
    /// More values, nodes, types or bytes than a file may have.
    TooLarge = "too-large",
    /// `apiVersion` or `kind` is none that is known.
    UnsupportedVersion = "unsupported-version",
    /// A key means nothing where it stands.
    UnknownKey = "unknown-key",
    /// A key that must be there is not.
    MissingKey = "missing-key",
    /// A value has another form, or is out of bounds.
    WrongValue = "wrong-value",
    /// A name is spelled as no name is.
    BadName = "bad-name",
    /// A key, an id or an item is there twice.
    ListedTwice = "listed-twice",
    /// `${NAME}` names a variable that is not set.
    VariableNotSet = "variable-not-set",
    /// A node has several components, or none.
    UnclearComponent = "unclear-component",
    /// An option is given to a node that cannot have it.
    MisplacedOption = "misplaced-option",

    // the graph of a pipeline file
    /// An input is no node of the file.
    UnknownInput = "unknown-input",
    /// A node cannot read from there, or reads from nowhere.
    BadInput = "bad-input",
    /// Nodes wait for each other.
    Cycle = "cycle",
    /// Nothing reads what a node emits.
    OutputUnused = "output-unused",
    /// A key of `config` or `nodes` is no node of the topology.
    UnknownNode = "unknown-node",

    // what is known, and how it fits
    /// A name stands for no component.
    UnknownComponent = "unknown-component",
    /// A name stands for several components.
    AmbiguousComponent = "ambiguous-component",
    /// Only components that are unhealthy would do.
    UnhealthyComponent = "unhealthy-component",
    /// Nothing knows the event type.
    UnknownEventType = "unknown-event-type",
    /// No source emits the event type.
    NoSource = "no-source",
    /// Several sources emit the event type.
    AmbiguousSource = "ambiguous-source",
    /// No chain of processors leads there.
    NoChain = "no-chain",
    /// Several chains are equally short.
    AmbiguousChain = "ambiguous-chain",
    /// A type has two structures under one name.
    TypesDiffer = "types-differ",
    /// A node emits nothing that the next one takes.
    TypesDoNotMeet = "types-do-not-meet",
    /// A file that declares types cannot be used.
    TypesUnreadable = "types-unreadable",
    /// A configuration is not what the component's record says.
    BadConfig = "bad-config",
    /// Events cannot be partitioned as the node asks.
    BadKey = "bad-key",
    /// A sink cannot take dead letters.
    BadDeadLetterSink = "bad-dead-letter-sink",
    /// Standard input cannot be pipeline and events at once.
    StdinTwice = "stdin-twice",

    // plugins and registries
    /// A file holds no plugin of the contract.
    NotAPlugin = "not-a-plugin",
    /// A plugin is neither here nor where it was looked for.
    PluginNotFound = "plugin-not-found",
    /// A plugin is not what its digest says.
    PluginDamaged = "plugin-damaged",
    /// A plugin lacks a signature that is demanded, or the policy lets none of its name pass.
    SignatureMissing = "signature-missing",
    /// A registry cannot be reached, or not safely.
    RegistryUnreachable = "registry-unreachable",
    /// A registry does not let one in, or do what was asked.
    RegistryRefuses = "registry-refuses",
    /// The plugins are others than the lock file has.
    LockMismatch = "lock-mismatch",

    // runs and what they keep
    /// A plugin trapped, or went beyond its limits.
    PluginCrashed = "plugin-crashed",
    /// Another process runs the pipeline.
    StateInUse = "state-in-use",
    /// A database of the state is damaged.
    StateDamaged = "state-damaged",
    /// The state cannot be read or written.
    StateUnusable = "state-unusable",
    /// A checkpoint keeps the state of nodes that are gone.
    OrphanedState = "orphaned-state",
    /// There is no such dead letter.
    UnknownDeadLetter = "unknown-dead-letter",

    // the control plane
    /// No control plane answers.
    NoControlPlane = "no-control-plane",
    /// The control plane does not know who calls.
    Unauthenticated = "unauthenticated",
    /// The caller's role may not do that.
    Forbidden = "forbidden",
    /// The tenant's policy does not allow it.
    PolicyViolation = "policy-violation",
    /// The tenant has used up a quota.
    QuotaExceeded = "quota-exceeded",
    /// There is no such pipeline, run or node.
    NotThere = "not-there",
    /// The pipeline has a run that goes on.
    RunsAlready = "runs-already",
    /// A change would be another by now.
    PlanMoved = "plan-moved",
    /// A running pipeline cannot change like that.
    ChangeRefused = "change-refused",
}

impl Code {
    /// The code of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// What it means, in the sentence that its text begins with.
    #[must_use]
    pub fn summary(self) -> &'static str {
        let mut lines = self.text().lines().skip(1).filter(|line| !line.is_empty());
        lines.next().unwrap_or_default()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How the report of an error begins: `error[CODE]`, or `error` alone.
#[must_use]
pub fn error_label(code: Option<Code>) -> String {
    code.map_or_else(|| "error".to_owned(), |code| format!("error[{code}]"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_text_has_a_code_and_every_code_a_text() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files: BTreeSet<String> = files.collect();
        let codes: BTreeSet<String> = Code::ALL.iter().map(|code| format!("{code}.md")).collect();
        assert_eq!(files, codes);
        assert_eq!(codes.len(), Code::ALL.len(), "a name is there twice");
        let summary = include_str!("../../../docs/SUMMARY.md");
        let listed = summary.lines().filter_map(|line| line.split_once("](errors/")?.1.strip_suffix(')'));
        let wanted = Code::ALL.iter().map(|code| format!("{code}.md"));
        assert_eq!(listed.map(str::to_owned).collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    }

    #[test]
    fn every_text_says_what_why_and_how() {
        for code in Code::ALL {
            let text = code.text();
            let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
            let wanted = [&*format!("# {code}"), "## Why", "## Example", "## What to do"];
            assert_eq!(headings, wanted, "{code}");
            assert!(text.contains(&format!("error[{code}]: ")), "{code} shows no error");
            assert!(code.summary().ends_with('.') && code.summary().len() <= 120, "{code}: {}", code.summary());
            assert_eq!(Code::from_name(code.name()), Some(*code));
        }
        assert_eq!(Code::from_name("nothing"), None);
    }
}
