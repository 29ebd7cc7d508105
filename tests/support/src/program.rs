//! Programs that tests write and run.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a program that may be run at once.
///
/// Another process writes the file: were it open for writing here, a process that another
/// test starts in that moment would hold it open too, and Linux refuses to run a file that
/// somebody may write (ETXTBSY).
///
/// # Errors
///
/// The file cannot be written.
pub fn write_program(path: &Path, text: &str) -> io::Result<()> {
    let mut writer = Command::new("sh");
    writer.args(["-c", r#"cat > "$0" && chmod 755 "$0""#]).arg(path).stdin(Stdio::piped());
    let mut writer = writer.spawn()?;
    writer.stdin.take().ok_or_else(|| io::Error::other("no pipe"))?.write_all(text.as_bytes())?;
    let status = writer.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("cannot write `{}`", path.display()))) }
}
