//! What the misbehaving guests share: the contract's bindings and an honest answer.
//!
//! Each guest is an example of this package, as small as its misbehaviour allows, and
//! written straight on the contract, since the SDK would not let it lie. A test of the
//! engine fails when there is a guest that no test uses.

/// Generates the bindings of one of the worlds in `wit/worlds.wit`, and `echo`, the
/// answer of a guest that behaves.
#[macro_export]
macro_rules! bindings {
    ($world:literal) => {
        wit_bindgen::generate!({
            path: ["../../wit/flowctl-processor", "wit"],
            world: $world,
            generate_all,
            generate_unused_types: true,
        });

        #[allow(unused_imports)]
        use exports::flowctl::processor::handler::Guest as Handler;
        #[allow(unused_imports)]
        use flowctl::processor::types::{Batch, Fault, Outcome, Rejection};

        /// Gives every event back as it came.
        #[allow(dead_code)]
        fn echo(events: Batch) -> Batch {
            let origins = (0..events.ends.len() as u32).collect();
            Batch { origins, ..events }
        }

        /// One batch and no rejections.
        #[allow(dead_code)]
        fn only(batch: Batch) -> Result<Outcome, Fault> {
            Ok(Outcome { outputs: vec![batch], rejected: vec![] })
        }
    };
}

/// A guest of the world `plain` that has nothing but its `process`.
#[macro_export]
macro_rules! guest {
    (|$events:ident| $body:expr) => {
        flowctl_test_guests::bindings!("test:guests/plain");

        struct Guest;

        impl Handler for Guest {
            fn process($events: Batch) -> Result<Outcome, Fault> {
                $body
            }
        }

        export!(Guest);
    };
}
