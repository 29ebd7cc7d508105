//! Reads lines of bounded length.

use std::io::{self, BufRead};

/// Longest line that is read: 16 MiB.
pub(crate) const MAX_LINE_BYTES: usize = 16 << 20;
/// What is kept of a line that is longer.
const KEPT_BYTES: usize = 1 << 10;

/// What was read into the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// Nothing: there is no further line.
    End,
    /// A line without its end.
    Whole,
    /// The start of a line that is too long. The line was passed over.
    TooLong,
}

/// Reads the next line into `buffer`, whose content is replaced.
pub(crate) fn read(input: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Line> {
    buffer.clear();
    let (mut n_bytes, mut is_too_long) = (0, false);
    loop {
        let found = input.fill_buf()?;
        if found.is_empty() {
            break;
        }
        let end = found.iter().position(|byte| *byte == b'\n');
        let part = &found[..end.unwrap_or(found.len())];
        if !is_too_long {
            if buffer.len() + part.len() > MAX_LINE_BYTES {
                is_too_long = true;
                buffer.extend_from_slice(&part[..part.len().min(KEPT_BYTES)]);
                buffer.truncate(KEPT_BYTES);
                buffer.shrink_to(KEPT_BYTES);
            } else {
                buffer.extend_from_slice(part);
            }
        }
        let n_used = part.len() + usize::from(end.is_some());
        input.consume(n_used);
        n_bytes += n_used;
        if end.is_some() {
            break;
        }
    }
    if is_too_long {
        return Ok(Line::TooLong);
    }
    if buffer.last() == Some(&b'\r') {
        buffer.pop();
    }
    Ok(if n_bytes == 0 { Line::End } else { Line::Whole })
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn check(text: &[u8], capacity: usize, want: &[(Line, &[u8])]) {
        let (mut input, mut buffer) = (BufReader::with_capacity(capacity, text), Vec::new());
        for (line, bytes) in want {
            assert_eq!(read(&mut input, &mut buffer).unwrap(), *line);
            assert_eq!(buffer, *bytes);
        }
        assert_eq!(read(&mut input, &mut buffer).unwrap(), Line::End);
    }

    #[test]
    fn lines_end_at_line_feeds_or_with_the_input() {
        for capacity in [1, 2, 3, 100] {
            check(b"", capacity, &[]);
            check(
                b"a\n\r\n\nbc\r\nd",
                capacity,
                &[
                    (Line::Whole, b"a"),
                    (Line::Whole, b""),
                    (Line::Whole, b""),
                    (Line::Whole, b"bc"),
                    (Line::Whole, b"d"),
                ],
            );
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let mut text = vec![b'x'; MAX_LINE_BYTES];
        text.extend_from_slice(b"\n");
        text.extend(vec![b'y'; MAX_LINE_BYTES + 1]);
        text.extend_from_slice(b"\nz\n");
        let start = [b'y'; KEPT_BYTES];
        let want: [(Line, &[u8]); 3] =
            [(Line::Whole, &text[..MAX_LINE_BYTES]), (Line::TooLong, &start), (Line::Whole, b"z")];
        check(&text, 1 << 16, &want);
    }
}
