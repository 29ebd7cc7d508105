//! Pages: how many, from where, and tokens that say so.
//!
//! A token holds the key of the last row of the page before, so that pages are right
//! while rows come and go. Invariant: a token of another list, or one that was tampered
//! with, is an error and no page.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use tonic::Status;

use super::fault;

/// Rows of a page where the caller does not say.
const USUAL: u32 = 100;
/// Most rows of a page.
const MOST: u32 = 1_000;
/// Bytes of a token.
const TOKEN_BYTES: usize = 1 << 10;

/// Rows of a page that is asked for with `page_size`.
pub(crate) const fn size(page_size: u32) -> u32 {
    match page_size {
        0 => USUAL,
        n if n > MOST => MOST,
        n => n,
    }
}

/// The token of the page behind `key` of the list `list`.
pub(crate) fn token(list: &str, key: &str) -> String {
    BASE64.encode(format!("{list}\n{key}"))
}

/// The key that a token holds; none for the first page.
///
/// # Errors
///
/// A status where it is no token of the list `list`.
pub(crate) fn key(list: &str, token: &str) -> Result<Option<String>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = || fault::invalid("page_token", "is none that this call gave out");
    if token.len() > TOKEN_BYTES {
        return Err(wrong());
    }
    let text = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(wrong)?;
    let (found, key) = text.split_once('\n').ok_or_else(wrong)?;
    if found == list { Ok(Some(key.to_owned())) } else { Err(wrong()) }
}

/// The number that a token holds; none for the first page.
///
/// # Errors
///
/// As [`key`].
pub(crate) fn number(list: &str, token: &str) -> Result<Option<u64>, Status> {
    let key = key(list, token)?;
    let number = key.map(|key| key.parse()).transpose();
    number.map_err(|_| fault::invalid("page_token", "is none that this call gave out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_with_its_list_alone() {
        let made = token("runs", "17\nx");
        assert_eq!(key("runs", &made).unwrap().as_deref(), Some("17\nx"));
        assert_eq!(key("runs", "").unwrap(), None);
        for (list, token) in
            [("pipelines", made.as_str()), ("runs", "%%"), ("runs", "AA"), ("runs", &"A".repeat(2_000))]
        {
            assert_eq!(key(list, token).unwrap_err().code(), tonic::Code::InvalidArgument, "{token}");
        }
    }

    #[test]
    fn sizes_have_a_usual_and_a_largest_value() {
        assert_eq!([0, 1, 1_000, 1_001].map(size), [100, 1, 1_000, 1_000]);
    }
}
