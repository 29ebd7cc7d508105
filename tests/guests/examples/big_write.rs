//! Writes a hundred thousand lines to its stdout at once, where far fewer are allowed.

flowctl_test_guests::bindings!("test:guests/writing");

use wasi::cli::stdout::get_stdout;

struct Guest;

impl Handler for Guest {
    fn process(events: Batch) -> Result<Outcome, Fault> {
        let stdout = get_stdout();
        let allowed = stdout.check_write().map_err(|_| Fault::Fatal("stdout is closed".to_owned()))?;
        assert!(allowed < 100_000, "stdout takes {allowed} bytes at once");
        stdout.write(&[b'\n'; 100_000]).map_err(|_| Fault::Fatal("stdout took a part".to_owned()))?;
        only(echo(events))
    }
}

export!(Guest);
