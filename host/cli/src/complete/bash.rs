//! Completions for bash, which takes words apart at `:` and `=`.
//!
//! A reference or `--option=value` comes here as several words, and bash puts what it gets in
//! place of the last of them alone. Invariant: the parser sees the words as they were typed,
//! and bash what belongs behind the last `:` or `=`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_complete::engine;
use clap_complete::env::{Bash as Plain, EnvCompleter};

/// Where bash takes words apart, as it is set up.
const BREAKS: [&str; 2] = [":", "="];

/// Set by the script, to what is typed of the line before the cursor.
const TYPED: &str = "_FLOWCTL_TYPED";

/// bash, with its words put together.
pub(super) struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        Plain.name()
    }

    fn is(&self, name: &str) -> bool {
        Plain.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let mut script = Vec::new();
        Plain.write_registration(var, name, bin, completer, &mut script)?;
        let asks = format!("{var}=\"bash\"");
        let tells = format!("{TYPED}=\"${{COMP_LINE:0:$COMP_POINT}}\" {asks}");
        buf.write_all(String::from_utf8_lossy(&script).replace(&asks, &tells).as_bytes())
    }

    fn write_complete(
        &self,
        cmd: &mut Command,
        mut args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
        let index: usize = number("_CLAP_COMPLETE_INDEX").unwrap_or_default();
        let typed = std::env::var(TYPED).unwrap_or_default();
        // right behind a `:` or `=`, that is the part, and bash says that nothing is typed of it
        if let Some(part) = args.get_mut(index).filter(|part| part.is_empty())
            && let Some(between) = BREAKS.iter().find(|between| typed.ends_with(**between))
        {
            *part = OsString::from(between);
        }
        let (words, index) = joined(args, index);
        let current = words.get(index).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        let kept = current.rfind([':', '=']).map_or(0, |end| end + 1);
        let separator = std::env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_owned());
        for (n, candidate) in engine::complete(cmd, words, index, current_dir)?.iter().enumerate() {
            let value = candidate.get_value().to_string_lossy();
            let rest = value.get(kept..).unwrap_or_default();
            write!(buf, "{}{rest}", if n == 0 { "" } else { separator.as_str() })?;
        }
        Ok(())
    }
}

/// The words as they were typed, and which of them is the one at `index`.
fn joined(parts: Vec<OsString>, index: usize) -> (Vec<OsString>, usize) {
    let is_break = |part: &OsString| BREAKS.iter().any(|word| part == word);
    let mut words: Vec<OsString> = Vec::new();
    let (mut current, mut is_open) = (index, false);
    for (n, part) in parts.into_iter().enumerate() {
        let is_between = is_break(&part);
        match words.last_mut() {
            // the program stands for itself
            Some(word) if n > 1 && (is_open || is_between) => word.push(&part),
            _ => words.push(part),
        }
        is_open = is_between;
        if n == index {
            current = words.len() - 1;
        }
    }
    (words, current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bash_took_apart_is_put_together() {
        let check = |parts: &str, index: usize, wanted: &str, at: usize| {
            let (words, current) = joined(parts.split(' ').map(OsString::from).collect(), index);
            let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!((words.join(" ").as_str(), current), (wanted, at));
        };
        check("flowctl tap tr", 2, "flowctl tap tr", 2);
        check("flowctl plugins remove host/a : 1 b", 5, "flowctl plugins remove host/a:1 b", 3);
        check("flowctl plugins remove host/a : 1 b", 6, "flowctl plugins remove host/a:1 b", 4);
        check("flowctl plugins remove host/a :", 4, "flowctl plugins remove host/a:", 3);
        check("flowctl topology remove --pipeline = tr", 5, "flowctl topology remove --pipeline=tr", 3);
    }
}
