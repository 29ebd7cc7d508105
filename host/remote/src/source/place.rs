//! Where a source stands, and how it goes on from there.
//!
//! A place is behind an event. It is found again by what the events bring: a resume token
//! in their metadata, or a cursor. Several events may have one cursor; a component may go
//! on at the cursor that it is told, or behind it. So it is told the cursor before the one
//! of the last event, and what was handed over already is left out here. Ledgers are each
//! alone at theirs, and follow one another without a gap.

use flowctl_runtime::Fault;
use serde::{Deserialize, Serialize};

/// The format of stored positions.
const VERSION: u8 = 1;
/// Longest resume token that is kept.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// A place behind an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    version: u8,
    /// Events of the component up to here.
    pub(crate) n_events: u64,
    /// The id of the last one.
    pub(crate) id: String,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) token: Option<Token>,
}

/// What cursors say of a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cursor {
    /// Of the last event: ledger and index.
    pub(crate) at: (u64, u32),
    /// Events up to here that have it.
    n_at: u64,
    /// The one before it.
    before: Option<(u64, u32)>,
    /// Whether the last event is a ledger.
    is_ledger: bool,
}

/// What tokens say of a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    text: String,
    /// Events behind the one that brought it.
    n_behind: u64,
}

/// How the stream of a source began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// At a cursor: the place before it.
    Cursor(Box<Place>),
    /// Where the source begins when it is told nothing.
    Beginning,
    /// It has begun, and its events say nothing of where they are from.
    Unknown,
}

/// What an event says of where it is from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) id: String,
    pub(crate) cursor: Option<(u64, u32)>,
    pub(crate) token: Option<String>,
    pub(crate) is_ledger: bool,
}

impl Place {
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&Self { version: VERSION, ..self.clone() }).expect("a place is plain values")
    }

    pub(crate) fn decode(position: &[u8]) -> Result<Self, Fault> {
        let unreadable = |reason: String| Fault::Fatal(format!("the stored position cannot be read: {reason}"));
        let place: Self = serde_json::from_slice(position).map_err(|error| unreadable(error.to_string()))?;
        match place.version {
            VERSION => Ok(Self { version: 0, ..place }),
            other => Err(unreadable(format!("it has format {other}, known is {VERSION}"))),
        }
    }

    /// Whether the source can be asked to go on from here.
    pub(crate) fn is_found_again(&self) -> bool {
        self.n_events == 0 || self.cursor.is_some() || self.token.is_some()
    }

    /// Goes behind an event.
    pub(crate) fn pass(&mut self, origin: &Origin) -> Result<(), Fault> {
        self.n_events += 1;
        self.id.clone_from(&origin.id);
        match (&mut self.cursor, origin.cursor) {
            (Some(cursor), None) => cursor.n_at += 1,
            (Some(cursor), Some(at)) if cursor.at == at => {
                cursor.n_at += 1;
                cursor.is_ledger = origin.is_ledger;
            }
            (cursor, Some(at)) => {
                let before = cursor.as_ref().filter(|cursor| cursor.n_at > 0).map(|cursor| cursor.at);
                *cursor = Some(Cursor { at, n_at: 1, before, is_ledger: origin.is_ledger });
            }
            (None, None) => {}
        }
        match (&mut self.token, &origin.token) {
            (_, Some(text)) if text.len() > MAX_TOKEN_BYTES => {
                return Err(Fault::Fatal(format!(
                    "a resume token has {} bytes, the limit is {MAX_TOKEN_BYTES}",
                    text.len()
                )));
            }
            (token, Some(text)) => *token = Some(Token { text: text.clone(), n_behind: 0 }),
            (Some(token), None) => token.n_behind += 1,
            (None, None) => {}
        }
        Ok(())
    }

    /// What the component is told in order to go on from here; none for its beginning.
    pub(crate) fn resume_token(&self) -> Option<String> {
        if let Some(token) = &self.token {
            return Some(token.text.clone());
        }
        let cursor = self.cursor.as_ref()?;
        let told = match cursor.before {
            _ if cursor.is_ledger && cursor.n_at > 0 => Some(cursor.at),
            Some(before) => Some(before),
            None => preceding(cursor.at),
        };
        told.map(|(ledger, index)| match index {
            0 => ledger.to_string(),
            _ => format!("{ledger}-{index}"),
        })
    }
}

/// A cursor before `cursor`.
fn preceding((ledger, index): (u64, u32)) -> Option<(u64, u32)> {
    match index.checked_sub(1) {
        Some(index) => Some((ledger, index)),
        None => ledger.checked_sub(1).map(|ledger| (ledger, 0)),
    }
}

impl Start {
    /// How a stream begins whose first event is from `origin`.
    pub(crate) fn with(origin: &Origin) -> Self {
        match (origin.cursor, &origin.token) {
            (Some(at), _) => Self::Cursor(Box::new(Place {
                cursor: Some(Cursor { at, n_at: 0, before: None, is_ledger: origin.is_ledger }),
                ..Place::default()
            })),
            (None, Some(_)) => Self::Beginning,
            (None, None) => Self::Unknown,
        }
    }
}

/// Leaves out of a stream what is not behind a place.
#[derive(Debug)]
pub(crate) struct Filter {
    from: Place,
    n_skipped: u64,
    n_at: u64,
    is_behind: bool,
}

impl Filter {
    /// Lets pass what is behind `from`.
    pub(crate) fn behind(from: &Place) -> Self {
        let is_behind = from.token.is_none() && from.cursor.is_none();
        Self { from: from.clone(), n_skipped: 0, n_at: 0, is_behind }
    }

    /// Whether an event is behind the place.
    ///
    /// # Errors
    ///
    /// [`Fault::Fatal`] where ledgers are missing between the place and the event.
    pub(crate) fn lets_pass(&mut self, origin: &Origin) -> Result<bool, Fault> {
        if self.is_behind {
            return Ok(true);
        }
        if let Some(token) = &self.from.token {
            let is_last = !self.from.id.is_empty() && origin.id == self.from.id;
            if is_last || self.n_skipped < token.n_behind {
                self.n_skipped += 1;
                // the last one again: a component that goes on at a token, not behind it
                self.is_behind = is_last;
                return Ok(false);
            }
        } else if let (Some(cursor), Some(at)) = (&self.from.cursor, origin.cursor) {
            if at < cursor.at {
                return Ok(false);
            }
            if at == cursor.at {
                self.n_at += 1;
                if self.n_at <= cursor.n_at {
                    return Ok(false);
                }
            }
            let expected = cursor.at.0 + u64::from(cursor.n_at > 0);
            if cursor.is_ledger && origin.is_ledger && at.0 > expected {
                return Err(Fault::Fatal(format!(
                    "it was to go on with ledger {expected} and goes on with ledger {}: what is between them would be missing",
                    at.0
                )));
            }
        }
        self.is_behind = true;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ledger: u64, index: u32) -> Origin {
        Origin { id: format!("{ledger}-{index}"), cursor: Some((ledger, index)), ..Origin::default() }
    }

    fn ledger(sequence: u64) -> Origin {
        Origin { is_ledger: true, ..at(sequence, 0) }
    }

    fn token(id: &str, token: Option<&str>) -> Origin {
        Origin { id: id.to_owned(), token: token.map(str::to_owned), ..Origin::default() }
    }

    fn behind(origins: &[Origin]) -> Place {
        let mut place = Place::default();
        origins.iter().for_each(|origin| place.pass(origin).unwrap());
        Place::decode(&place.encode()).unwrap()
    }

    fn passed(place: &Place, stream: &[Origin]) -> Vec<String> {
        let mut filter = Filter::behind(place);
        stream.iter().filter(|origin| filter.lets_pass(origin).unwrap()).map(|origin| origin.id.clone()).collect()
    }

    #[test]
    fn a_component_is_told_the_last_ledger() {
        let place = behind(&[ledger(7), ledger(8)]);
        assert_eq!(place.resume_token().as_deref(), Some("8"));
        assert_eq!(passed(&place, &[ledger(8), ledger(9)]), ["9-0"]);
        assert_eq!(passed(&place, &[ledger(9), ledger(10)]), ["9-0", "10-0"]);
    }

    #[test]
    fn a_missing_ledger_is_named() {
        let fault = Filter::behind(&behind(&[ledger(8)])).lets_pass(&ledger(11)).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "it was to go on with ledger 9 and goes on with ledger 11: what is between them would be missing"
        );
    }

    #[test]
    fn a_run_that_goes_back_to_its_start_finds_the_first_event_again() {
        let Start::Cursor(place) = Start::with(&ledger(7)) else { panic!("a ledger has a cursor") };
        assert_eq!(place.resume_token().as_deref(), Some("6"));
        assert_eq!(passed(&place, &[ledger(6), ledger(7), ledger(8)]), ["7-0", "8-0"]);
        assert!(Filter::behind(&place).lets_pass(&ledger(8)).is_err());
        assert_eq!(Start::with(&token("a", Some("t"))), Start::Beginning);
        assert_eq!(Start::with(&token("a", None)), Start::Unknown);
    }

    #[test]
    fn a_token_comes_before_a_cursor_and_counts_what_followed_it() {
        let place = behind(&[token("a", Some("t")), token("b", None)]);
        assert_eq!(place.resume_token().as_deref(), Some("t"));
        assert_eq!(passed(&place, &[token("b", None), token("c", None)]), ["c"]);
        let place = behind(&[token("a", Some("t"))]);
        assert_eq!(passed(&place, &[token("a", Some("t")), token("b", None)]), ["b"]);
    }

    #[test]
    fn nothing_is_found_again_without_cursor_and_token() {
        assert!(Place::default().is_found_again());
        let place = behind(&[token("a", None)]);
        assert!(!place.is_found_again());
        assert_eq!(place.resume_token(), None);
    }

    #[test]
    fn a_position_of_another_format_is_refused() {
        let text = String::from_utf8(Place::default().encode()).unwrap().replace("\"version\":1", "\"version\":2");
        let fault = Place::decode(text.as_bytes()).unwrap_err();
        assert_eq!(fault.to_string(), "the stored position cannot be read: it has format 2, known is 1");
        assert!(Place::decode(b"?").is_err());
    }

    proptest! {
        #[test]
        fn going_on_repeats_nothing_and_misses_nothing(
            steps in prop::collection::vec(0u32..3, 1..30),
            cut in 0usize..30,
            is_inclusive: bool,
        ) {
            // events with cursors that grow or stay
            let (mut ledger, mut index) = (5, 0);
            let stream: Vec<_> = steps.iter().enumerate().map(|(number, step)| {
                match step {
                    0 => {}
                    1 => index += 1,
                    _ => (ledger, index) = (ledger + 1, 0),
                }
                Origin { id: number.to_string(), cursor: Some((ledger, index)), ..Origin::default() }
            }).collect();
            let cut = cut.min(stream.len());
            let place = behind(&stream[..cut]);
            let told = place.resume_token().map(|token| match token.split_once('-') {
                Some((ledger, index)) => (ledger.parse().unwrap(), index.parse().unwrap()),
                None => (token.parse().unwrap(), 0),
            });
            let resumed: Vec<_> = stream.iter().filter(|origin| match told {
                None => true,
                Some(told) if is_inclusive => origin.cursor.unwrap() >= told,
                Some(told) => origin.cursor.unwrap() > told,
            }).cloned().collect();
            let want: Vec<_> = stream[cut..].iter().map(|origin| origin.id.clone()).collect();
            prop_assert_eq!(passed(&place, &resumed), want);
        }
    }
}
