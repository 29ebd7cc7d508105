//! The event type that dead-letter sinks are sent.

use std::sync::LazyLock;

use flowctl_schema::Schema;

const WIT: &str = include_str!("../../../wit/events/flowctl-dead-letter/event.wit");

/// The structure of `flowctl.dead.letter.v1`: an event that was refused, with the reason.
#[must_use]
pub fn dead_letter_schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> =
        LazyLock::new(|| Schema::from_wit(WIT).expect("this crate's tests check it").remove(0));
    &SCHEMA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_name_is_that_of_the_wit_package() {
        assert_eq!(dead_letter_schema().event_type().as_str(), "flowctl.dead.letter.v1");
        assert!(dead_letter_schema().is_record());
    }
}
