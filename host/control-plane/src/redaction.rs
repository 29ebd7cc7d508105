//! What variables hold, kept out of texts that others read.
//!
//! Where a file has `${NAME}`, its author may have put a secret in any field, also where no
//! component expects one. So what leaves a run as text, its errors and its log, has the
//! name in place of the value.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Values that are shorter occur by chance: an error would say `${N} of 1${N} rows`.
const MIN_BYTES: usize = 4;

/// Values that are not to be told, and the names that stand for them. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redaction(Arc<[(String, String)]>);

impl Redaction {
    /// Hides the values of these variables, name and value, where they have at least four
    /// bytes.
    #[must_use]
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut hidden: Vec<_> = variables.into_iter().map(|(name, value)| (value, name)).collect();
        hidden.retain(|(value, _)| value.len() >= MIN_BYTES);
        // one that contains another is hidden whole
        hidden.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        hidden.dedup_by(|(a, _), (b, _)| a == b);
        Self(hidden.into())
    }

    /// `text` with `${NAME}` wherever the value of that variable was.
    #[must_use]
    pub fn of<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for (value, name) in &*self.0 {
            if text.contains(value.as_str()) {
                text = Cow::Owned(text.replace(value.as_str(), &format!("${{{name}}}")));
            }
        }
        text
    }
}

impl fmt::Debug for Redaction {
    /// Names alone: values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(_, name)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redaction(variables: &[(&str, &str)]) -> Redaction {
        Redaction::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn values_become_their_names_wherever_they_are() {
        let redaction = redaction(&[("URL", "postgres://u:p@h/db"), ("PASSWORD", "hunter2")]);
        assert_eq!(
            redaction.of("table `postgres://u:p@h/db`: hunter2hunter2"),
            "table `${URL}`: ${PASSWORD}${PASSWORD}"
        );
        assert!(matches!(redaction.of("nothing of it"), Cow::Borrowed("nothing of it")));
    }

    #[test]
    fn a_value_that_contains_another_is_hidden_whole() {
        let redaction = redaction(&[("PART", "secret"), ("ALL", "my secret key")]);
        assert_eq!(redaction.of("my secret key, secret"), "${ALL}, ${PART}");
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(redaction(&[("N", "1"), ("EMPTY", "")]).of("1 of 10 rows"), "1 of 10 rows");
    }

    #[test]
    fn debug_names_no_value() {
        assert_eq!(format!("{:?}", redaction(&[("KEY", "hunter2")])), r#"["KEY"]"#);
    }
}
