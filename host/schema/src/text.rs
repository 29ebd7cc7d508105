//! Scans text eight bytes at a time for what JSON must not hold as it stands.

/// Which bytes end a run of plain text.
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Number of bytes at the start of `bytes` that are neither control characters nor
/// `"` nor `\`. Bytes beyond ASCII count as plain.
#[inline]
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    scan(bytes, 0)
}

/// As [`plain_len`], but bytes beyond ASCII end the run too.
#[inline]
pub(crate) fn plain_ascii_len(bytes: &[u8]) -> usize {
    scan(bytes, HIGH)
}

#[inline(always)]
fn scan(bytes: &[u8], also: u64) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // Exact for the lowest byte that is hit, which is the only one asked for.
        let control = word.wrapping_sub(LOW * 0x20) & !word;
        let quote = (word ^ (LOW * 0x22)).wrapping_sub(LOW) & !(word ^ (LOW * 0x22));
        let slash = (word ^ (LOW * 0x5c)).wrapping_sub(LOW) & !(word ^ (LOW * 0x5c));
        let hits = ((control | quote | slash) & HIGH) | (word & also);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while at < bytes.len() {
        let byte = bytes[at];
        if byte < 0x20 || byte == b'"' || byte == b'\\' || (also != 0 && byte >= 0x80) {
            return at;
        }
        at += 1;
    }
    at
}

/// Appends `text` as a JSON string, quotes included.
#[inline]
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.push(b'"');
    loop {
        let plain = plain_len(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(byte) = rest.get(plain) else { break };
        push_escaped(out, *byte);
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 0xf)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow(bytes: &[u8], is_ascii: bool) -> usize {
        let is_end = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\') || (is_ascii && *byte >= 0x80);
        bytes.iter().position(is_end).unwrap_or(bytes.len())
    }

    proptest! {
        #[test]
        fn runs_end_where_a_slow_scan_ends_them(bytes: Vec<u8>, plain in "[ -~é]{0,40}") {
            for bytes in [bytes.clone(), [plain.as_bytes(), &bytes].concat()] {
                prop_assert_eq!(plain_len(&bytes), slow(&bytes, false));
                prop_assert_eq!(plain_ascii_len(&bytes), slow(&bytes, true));
            }
        }

        #[test]
        fn strings_are_escaped_as_serde_json_does(text: String, low in "[\\x00-\\x7f]{0,20}") {
            for text in [text, low] {
                let mut out = Vec::new();
                push_string(&mut out, &text);
                prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
            }
        }
    }
}
