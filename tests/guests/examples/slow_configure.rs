//! Takes its configuration as it is told to: at once, or never.

flowctl_test_guests::bindings!("test:guests/configured");

use exports::config::{Config, Guest as Configure, Mode};

struct Guest;

impl Configure for Guest {
    fn configure(config: Config) -> Result<(), String> {
        match config.mode {
            Mode::Quick if config.name.is_empty() => Err("`name` is empty".to_owned()),
            Mode::Quick => {
                let bounds = config.bounds.map(|bounds| (bounds.low, bounds.high));
                println!("{} {bounds:?} {:?}", config.name, config.tags);
                Ok(())
            }
            Mode::NeverEnding => loop {
                std::hint::black_box(());
            },
        }
    }
}

impl Handler for Guest {
    fn process(events: Batch) -> Result<Outcome, Fault> {
        only(echo(events))
    }
}

export!(Guest);
