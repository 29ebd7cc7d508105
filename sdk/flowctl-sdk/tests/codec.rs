//! The generated encoding against serde and postcard on the same shapes, which is
//! what the host relies on.
#![allow(clippy::unwrap_used)]

use flowctl_sdk::codec::{from_bytes, to_bytes};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

mod generated {
    flowctl_sdk::event_types!("test.shapes.v1", wit = "tests/wit");
}
use generated::events::test_shapes;

/// The record `shapes` of `tests/wit/shapes.wit` as serde sees it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Shapes {
    flag: bool,
    small: (u8, i8),
    unsigned: (u16, u32, u64),
    signed: (i16, i32, i64),
    floats: (f32, f64),
    letter: char,
    text: String,
    bytes: Vec<u8>,
    texts: Vec<String>,
    maybe: Option<String>,
    answer: Result<u32, ()>,
    choice: Choice,
    colour: Colour,
    nested: Vec<Nested>,
    type_: Option<Vec<Vec<u8>>>,
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
enum Choice {
    Nothing,
    Number(u64),
    Text(String),
    Pair((u32, String)),
}

#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
enum Colour {
    Red,
    Green,
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Nested {
    name: String,
    amounts: Vec<i64>,
}

fn shapes() -> impl Strategy<Value = Shapes> {
    let choice = prop_oneof![
        Just(Choice::Nothing),
        any::<u64>().prop_map(Choice::Number),
        any::<String>().prop_map(Choice::Text),
        any::<(u32, String)>().prop_map(Choice::Pair),
    ];
    let nested = (any::<String>(), vec(any::<i64>(), 0..4)).prop_map(|(name, amounts)| Nested { name, amounts });
    let first = (any::<bool>(), any::<(u8, i8)>(), any::<(u16, u32, u64)>(), any::<(i16, i32, i64)>());
    let second = (any::<(f32, f64)>(), any::<char>(), any::<String>(), vec(any::<u8>(), 0..300));
    let third = (vec(any::<String>(), 0..4), option::of(any::<String>()), any::<Result<u32, ()>>(), choice);
    let fourth = (any::<bool>(), vec(nested, 0..4), option::of(vec(vec(any::<u8>(), 0..4), 0..3)));
    (first, second, third, fourth).prop_map(|(first, second, third, fourth)| Shapes {
        flag: first.0,
        small: first.1,
        unsigned: first.2,
        signed: first.3,
        floats: second.0,
        letter: second.1,
        text: second.2,
        bytes: second.3,
        texts: third.0,
        maybe: third.1,
        answer: third.2,
        choice: third.3,
        colour: if fourth.0 { Colour::Red } else { Colour::Green },
        nested: fourth.1,
        type_: fourth.2,
    })
}

proptest! {
    #[test]
    fn postcard_and_the_sdk_read_and_write_the_same_bytes(shapes in shapes()) {
        let expected = postcard::to_allocvec(&shapes).unwrap();
        let owned: test_shapes::Shapes = from_bytes(&expected).unwrap();
        prop_assert_eq!(&to_bytes(&owned), &expected);
        let borrowed: test_shapes::ShapesRef<'_> = from_bytes(&expected).unwrap();
        prop_assert_eq!(&to_bytes(&borrowed), &expected);
        prop_assert_eq!(&to_bytes(&owned.borrowed()), &expected);
        prop_assert_eq!(&to_bytes(&borrowed.into_owned()), &expected);
    }

    #[test]
    fn damaged_bytes_decode_as_postcard_does_or_fail(
        shapes in shapes(),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = postcard::to_allocvec(&shapes).unwrap();
        let position = position.index(bytes.len());
        bytes[position] = byte;
        if let Ok(decoded) = from_bytes::<test_shapes::Shapes>(&bytes) {
            let (expected, rest) = postcard::take_from_bytes::<Shapes>(&bytes).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(to_bytes(&decoded), postcard::to_allocvec(&expected).unwrap());
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = from_bytes::<test_shapes::Shapes>(&bytes);
        let _ = from_bytes::<test_shapes::ShapesRef<'_>>(&bytes);
    }

    #[test]
    fn wide_integers_keep_their_value(signed in any::<i128>(), unsigned in any::<u128>()) {
        prop_assert_eq!(postcard::to_allocvec(&(signed, unsigned)).unwrap(), to_bytes(&(signed, unsigned)));
        prop_assert_eq!(from_bytes::<(i128, u128)>(&to_bytes(&(signed, unsigned))).unwrap(), (signed, unsigned));
    }
}

#[test]
fn errors_name_the_field_and_the_reason() {
    let item = |bytes: &[u8]| from_bytes::<test_shapes::Nested>(bytes).unwrap_err().to_string();
    assert_eq!(item(&[5, b'a']), "the bytes end too early, in field `name`");
    assert_eq!(item(&[1, 0xff, 0]), "a string is not UTF-8, in field `name`");
    assert_eq!(
        item(&[0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
        "an integer is too large for its type, in field `amounts`"
    );
    assert_eq!(item(&[0, 0, 0]), "1 byte is left over");
    assert_eq!(from_bytes::<test_shapes::Colour>(&[7]).unwrap_err().to_string(), "`colour` has no case 7");
}

#[test]
fn a_length_beyond_the_bytes_reserves_nothing() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert!(from_bytes::<Vec<(u64, u64, u64)>>(&huge).is_err());
    assert!(from_bytes::<&str>(&huge).is_err());
    // Elements without bytes cannot be counted up to for ever either.
    assert!(from_bytes::<Vec<()>>(&huge).is_err());
}
