//! Texts of others, cut to what there is room for.

use flowctl_types::Code;

/// At most `n_bytes` of `text`, cut between two characters.
pub(crate) fn cut(text: &str, n_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(n_bytes)).unwrap_or(text)
}

/// An error and its causes, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A code as it is stored and sent; empty where there is none.
pub(crate) fn code_name(code: Option<Code>) -> String {
    code.map_or_else(String::new, |code| code.name().to_owned())
}
