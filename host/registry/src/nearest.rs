//! Names that are close to one that was not found.

/// Most names that are worth offering.
const MAX_NAMES: usize = 3;

/// The names among `known` that `name` may be a misspelling of, nearest first, ties
/// by alphabet; at most three. Letters that are swapped count as one edit.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let name: Vec<char> = name.chars().take(MAX_CHARS).collect();
    let limit = (name.len() / 3).max(1);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|candidate| {
            let chars: Vec<char> = candidate.chars().take(MAX_CHARS).collect();
            if chars.len().abs_diff(name.len()) > limit {
                return None;
            }
            let edits = distance(&name, &chars);
            (edits <= limit).then_some((edits, candidate))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(MAX_NAMES).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// `` `a` ``, `` `a` or `b` ``, `` `a`, `b` or `c` ``; empty for no names.
pub fn one_of<T: AsRef<str>>(names: &[T]) -> String {
    listed(names, "or")
}

/// `` `a` ``, `` `a` and `b` ``, `` `a`, `b` and `c` ``; empty for no names.
pub fn all_of<T: AsRef<str>>(names: &[T]) -> String {
    listed(names, "and")
}

/// Names are compared by as many characters as a name of a node or type has.
const MAX_CHARS: usize = 128;

fn listed<T: AsRef<str>>(names: &[T], word: &str) -> String {
    match names {
        [] => String::new(),
        [only] => format!("`{}`", only.as_ref()),
        [init @ .., last] => {
            let init: Vec<String> = init.iter().map(|name| format!("`{}`", name.as_ref())).collect();
            format!("{} {word} `{}`", init.join(", "), last.as_ref())
        }
    }
}

/// Edits between two texts: insert, remove, replace, swap neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let mut edits = (last[j] + usize::from(from != to)).min(last[j + 1] + 1).min(row[j] + 1);
            let is_swap = i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to;
            if is_swap {
                edits = edits.min(before_last[j - 1] + 1);
            }
            row.push(edits);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] =
        ["stellar.ledger.v1", "stellar.token.transfer.v1", "stellar.ledger.v2", "example.order.v1"];

    #[test]
    fn misspellings_find_their_names_nearest_first() {
        assert_eq!(nearest("stellar.legder.v1", KNOWN), ["stellar.ledger.v1", "stellar.ledger.v2"]);
        assert_eq!(nearest("postgers", ["postgres", "stdout"]), ["postgres"]);
    }

    #[test]
    fn what_is_far_is_not_offered() {
        assert_eq!(nearest("kafka", ["postgres", "stdout"]), Vec::<String>::new());
        assert_eq!(nearest("", ["a-long-name"]), Vec::<String>::new());
    }

    #[test]
    fn names_are_listed_as_a_sentence_would() {
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(all_of(&["a", "b"]), "`a` and `b`");
        assert_eq!(one_of::<&str>(&[]), "");
    }
}
