//! Names that are near to one that is not known, and lists of names as a sentence has them.

/// Most names that are worth offering.
const MAX_NAMES: usize = 3;

/// Names are compared by as many characters as a name of a node or type has.
const MAX_CHARS: usize = 128;

/// The names among `known` that `name` may be a misspelling of, nearest first, ties by
/// alphabet; at most three.
///
/// A name is near when it differs by no more than a third of its letters: inserted, left
/// out, changed, or exchanged with their neighbour. Upper and lower case are the same. Those
/// that are clearly farther than the nearest are left out.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let letters = |text: &str| text.to_lowercase().chars().take(MAX_CHARS + 1).collect::<Vec<char>>();
    let name = letters(name);
    if name.len() > MAX_CHARS {
        return Vec::new();
    }
    let edits = |candidate: &&'a str| {
        let candidate = letters(candidate);
        let limit = (name.len().max(candidate.len()) / 3).max(1);
        if name.len().abs_diff(candidate.len()) > limit {
            return None;
        }
        let edits = distance(&name, &candidate);
        (edits <= limit && edits < candidate.len()).then_some(edits)
    };
    let mut found: Vec<(usize, &str)> =
        known.into_iter().filter_map(|candidate| Some((edits(&candidate)?, candidate))).collect();
    found.sort_unstable();
    found.dedup();
    let least = found.first().map_or(0, |(edits, _)| *edits);
    let as_near = found.into_iter().take_while(|(edits, _)| *edits <= least + 1);
    as_near.take(MAX_NAMES).map(|(_, candidate)| candidate).collect()
}

/// ``did you mean `a` or `b`?``, with the names among `known` that are [`nearest`] to
/// `name`; none where none is near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = nearest(name, known);
    (!near.is_empty()).then(|| format!("did you mean {}?", one_of(&near)))
}

/// `` `a` ``, `` `a` or `b` ``, `` `a`, `b` or `c` ``; empty for no names.
pub fn one_of<T: AsRef<str>>(names: &[T]) -> String {
    listed(names, "or")
}

/// `` `a` ``, `` `a` and `b` ``, `` `a`, `b` and `c` ``; empty for no names.
pub fn all_of<T: AsRef<str>>(names: &[T]) -> String {
    listed(names, "and")
}

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

    const TYPES: [&str; 4] =
        ["stellar.ledger.v1", "stellar.token.transfer.v1", "stellar.ledger.v2", "example.order.v1"];
    const KEYS: [&str; 4] = ["sources", "processors", "sinks", "to"];
    const FIELDS: [&str; 3] = ["network", "mode", "batch_size"];

    #[test]
    fn slips_find_their_names_nearest_first() {
        let check = |name: &str, known: &[&str], wanted: &[&str]| {
            assert_eq!(nearest(name, known.iter().copied()), wanted, "{name}");
        };
        check("stellar.legder.v1", &TYPES, &["stellar.ledger.v1", "stellar.ledger.v2"]);
        check("postgers", &["postgres", "stdout"], &["postgres"]);
        check("procesors", &KEYS, &["processors"]);
        check("Sinks", &KEYS, &["sinks"]);
        check("sniks", &KEYS, &["sinks"]);
        check("netwrok", &FIELDS, &["network"]);
        check("bach_size", &FIELDS, &["batch_size"]);
        check("stellar.leger.v1", &["stellar.ledger.v1", "stellar.volume.v1"], &["stellar.ledger.v1"]);
        check("a", &["b", "a2", "a1", "a0", "a3"], &["a0", "a1", "a2"]);
    }

    #[test]
    fn what_is_far_is_not_offered() {
        let check = |name: &str, known: &[&str]| {
            assert_eq!(nearest(name, known.iter().copied()), Vec::<&str>::new(), "{name}");
        };
        check("kafka", &["postgres", "stdout"]);
        check("snisk", &KEYS);
        check("colour", &FIELDS);
        check("", &["a", "a-long-name"]);
        check("zz", &["a", "to"]);
        check(&"x".repeat(1_000), &["x"]);
        assert_eq!(did_you_mean("kafka", ["postgres", "stdout"]), None);
    }

    #[test]
    fn names_are_listed_as_a_sentence_would() {
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(all_of(&["a", "b"]), "`a` and `b`");
        assert_eq!(one_of::<&str>(&[]), "");
        assert_eq!(did_you_mean("ordres", ["orders"]).as_deref(), Some("did you mean `orders`?"));
    }
}
