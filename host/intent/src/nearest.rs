//! The name that was probably meant.

/// The candidate that differs least from `name`, when it differs by no more than a
/// third of its letters; swapped neighbours count as one difference. Of several, the
/// first.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    const MAX_CHARS: usize = 128;
    let letters: Vec<char> = name.to_lowercase().chars().take(MAX_CHARS + 1).collect();
    if letters.len() > MAX_CHARS {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other: Vec<char> = candidate.to_lowercase().chars().take(MAX_CHARS + 1).collect();
        let allowed = (letters.len().max(other.len()) / 3).max(1);
        if letters.len().abs_diff(other.len()) > allowed {
            continue;
        }
        let found = distance(&letters, &other);
        if found <= allowed && found < other.len() && best.is_none_or(|(least, _)| found < least) {
            best = Some((found, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut next = vec![i + 1; b.len() + 1];
        for (j, right) in b.iter().enumerate() {
            let replaced = row[j] + usize::from(left != right);
            next[j + 1] = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *left == b[j - 1] && a[i - 1] == *right {
                next[j + 1] = next[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_the_name_that_was_meant() {
        let keys = ["sources", "processors", "sinks", "to"];
        assert_eq!(nearest("procesors", keys), Some("processors"));
        assert_eq!(nearest("Sinks", keys), Some("sinks"));
        assert_eq!(nearest("snisk", keys), None);
        assert_eq!(nearest("sniks", keys), Some("sinks"));
    }

    #[test]
    fn names_that_share_nothing_find_none() {
        assert_eq!(nearest("zz", ["a", "to"]), None);
        assert_eq!(nearest("", ["a"]), None);
        assert_eq!(nearest(&"x".repeat(1_000), ["x"]), None);
    }
}
