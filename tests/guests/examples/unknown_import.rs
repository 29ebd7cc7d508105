//! Imports what no host provides.

flowctl_test_guests::bindings!("test:guests/asking");

struct Guest;

impl Handler for Guest {
    fn process(events: Batch) -> Result<Outcome, Fault> {
        launch::missiles(events.ends.len() as u32);
        only(echo(events))
    }
}

export!(Guest);
