//! Completions for bash, which takes words apart at `:`, `=` and whatever else it is told to, and
//! puts what it gets into the line as it is.
//!
//! Invariant: the parser sees the words of the line as it was typed, and bash gets what belongs
//! in place of the part that it has, quoted as the line goes on: one word, which runs nothing.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_complete::engine;
use clap_complete::env::EnvCompleter;

/// Set by the script, to the line before the cursor.
const TYPED: &str = "_FLOWCTL_TYPED";

/// Set by the script, to what of it bash puts a candidate in place of.
const PART: &str = "_FLOWCTL_PART";

/// Has bash ask; the names in capitals are filled in.
const SCRIPT: &str = include_str!("flowctl.bash");

/// What stands for itself outside of quotes, besides letters and digits.
const PLAIN: &str = "_-./:=,@%+";

/// bash, whose words are put together.
pub(super) struct Bash;

/// The arguments that stand for the line which bash completes; none where another shell asks.
pub(super) fn arguments() -> Option<Vec<OsString>> {
    let typed = std::env::var_os(TYPED)?;
    let values = words(&typed.to_string_lossy()).into_iter().map(|word| word.value);
    Some(["flowctl", "--"].map(str::to_owned).into_iter().chain(values).map(OsString::from).collect())
}

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == self.name()
    }

    fn write_registration(
        &self,
        var: &str,
        _name: &str,
        _bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let program = shlex::try_quote(completer).map_err(io::Error::other)?;
        let script = SCRIPT.replace("VARIABLE", var).replace("TYPED", TYPED).replace("PART", PART);
        buf.write_all(script.replace("PROGRAM", &program).as_bytes())
    }

    fn write_complete(
        &self,
        cmd: &mut Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let set = |name| std::env::var_os(name).unwrap_or_default().to_string_lossy().into_owned();
        let (typed, part) = (set(TYPED), set(PART));
        let kept = kept(&typed, &part);
        // bash takes `~` for the home folder where it stands alone, and not behind a `\`
        let is_at_home = kept.raw.is_empty() && part.starts_with("~/");
        let index = args.len().saturating_sub(1);
        for candidate in engine::complete(cmd, args, index, current_dir)? {
            let value = candidate.get_value().to_str().filter(|value| !value.chars().any(char::is_control));
            let rest = value.and_then(|value| value.strip_prefix(&kept.value));
            let (home, rest) = match rest.and_then(|rest| rest.strip_prefix('~')).filter(|_| is_at_home) {
                Some(below) => ("~", Some(below)),
                None => ("", rest),
            };
            if let Some(rest) = rest.and_then(|rest| quoted(rest, kept.quote)) {
                writeln!(buf, "{home}{rest}")?;
            }
        }
        Ok(())
    }
}

/// A word of a line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Word {
    /// As it was typed.
    raw: String,
    /// What it stands for, without quotes; variables and `~` stay as they are.
    value: String,
    /// The quote that is open at its end.
    quote: Option<char>,
}

/// The words of a line, of which the last one may be empty, or half written.
fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word = Word::default();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if word.quote.is_none() && c.is_whitespace() {
            if !word.raw.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        word.raw.push(c);
        match (word.quote, c) {
            (None, '"' | '\'') => word.quote = Some(c),
            (Some(quote), _) if c == quote => word.quote = None,
            (None | Some('"'), '\\') => {
                let Some(next) = chars.next() else { break };
                word.raw.push(next);
                // between double quotes it stands for itself before anything else
                if word.quote.is_some() && !"\"\\$`".contains(next) {
                    word.value.push(c);
                }
                word.value.push(next);
            }
            _ => word.value.push(c),
        }
    }
    words.push(word);
    words
}

/// What bash keeps of the last word of a line, where it puts a candidate in place of `part`.
fn kept(line: &str, part: &str) -> Word {
    let last = words(line).pop().unwrap_or_default();
    let kept = last.raw.strip_suffix(part).unwrap_or_default();
    words(kept).pop().unwrap_or_default()
}

/// A text behind an open `quote`, or behind none; none where it cannot stand there.
fn quoted(text: &str, quote: Option<char>) -> Option<String> {
    let is_plain = |c: char| c.is_alphanumeric() || PLAIN.contains(c) || !c.is_ascii();
    let is_escaped = |c: char| match quote {
        None => !is_plain(c),
        Some('"') => "\"\\$`".contains(c),
        Some(_) => false,
    };
    let cannot_be = match quote {
        // history is looked up between double quotes, whatever stands before the mark
        Some('"') => text.contains('!'),
        Some(quote) => text.contains(quote),
        None => false,
    };
    let escaped = text.chars().flat_map(|c| is_escaped(c).then_some('\\').into_iter().chain([c]));
    (!cannot_be).then(|| escaped.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_bash_reads_it() {
        let check = |line: &str, wanted: &[&str]| {
            let words = words(line);
            assert_eq!(words.iter().map(|word| word.value.as_str()).collect::<Vec<_>>(), wanted, "{line}");
        };
        check("flowctl tap tr", &["flowctl", "tap", "tr"]);
        check(" flowctl  tap ", &["flowctl", "tap", ""]);
        check(
            "flowctl tap --control-plane 127.0.0.1:9000 s",
            &["flowctl", "tap", "--control-plane", "127.0.0.1:9000", "s"],
        );
        check("flowctl run my\\ orders.ya", &["flowctl", "run", "my orders.ya"]);
        check("flowctl run 'my orders'.yaml \"a b", &["flowctl", "run", "my orders.yaml", "a b"]);
        check("a \"\\\"\\x\" '\\", &["a", "\"\\x", "\\"]);
        check("a b\\", &["a", "b"]);
        check("", &[""]);
    }

    #[test]
    fn bash_keeps_what_is_before_its_part() {
        let check = |line: &str, part: &str, wanted: (&str, Option<char>)| {
            let kept = kept(line, part);
            assert_eq!((kept.value.as_str(), kept.quote), wanted, "{line}");
        };
        check("flowctl tap tr", "tr", ("", None));
        check("flowctl tap ", "", ("", None));
        check("flowctl topology remove --pipeline=tr", "tr", ("--pipeline=", None));
        check("flowctl topology remove --pipeline=", "", ("--pipeline=", None));
        // where bash is told not to take words apart
        check("flowctl topology remove --pipeline=tr", "--pipeline=tr", ("", None));
        check("flowctl plugins remove host/a@sha256:ab", "ab", ("host/a@sha256:", None));
        check("flowctl run \"my or", "my or", ("", Some('"')));
        check("flowctl run my\\ or", "my\\ or", ("", None));
    }

    #[test]
    fn what_bash_gets_is_one_word_that_runs_nothing() {
        let check = |text: &str, quote: Option<char>, wanted: Option<&str>| {
            let quoted = quoted(text, quote);
            assert_eq!(quoted.as_deref(), wanted, "{text}");
            let open = quote.map(String::from).unwrap_or_default();
            if let Some(quoted) = quoted {
                let line = format!("{open}{quoted}{open}");
                assert_eq!(words(&line).iter().map(|word| word.value.as_str()).collect::<Vec<_>>(), [text]);
            }
        };
        check("host/a@sha256:1f", None, Some("host/a@sha256:1f"));
        check("a b;$(x)", None, Some("a\\ b\\;\\$\\(x\\)"));
        check("ledgers-*~#!.yaml", None, Some("ledgers-\\*\\~\\#\\!.yaml"));
        check("a \"b\" $c `d` \\", Some('"'), Some("a \\\"b\\\" \\$c \\`d\\` \\\\"));
        check("wow!", Some('"'), None);
        check("a $b", Some('\''), Some("a $b"));
        check("it's", Some('\''), None);
    }
}
