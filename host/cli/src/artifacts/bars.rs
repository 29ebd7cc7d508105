//! Live lines of blobs on their way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use flowctl_oci::Progress;
use flowctl_types::Digest;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::status;

/// A line for each blob that moves; none where stderr is no terminal, or nobody wants any.
pub(crate) struct Bars {
    lines: Option<MultiProgress>,
    moving: Mutex<HashMap<Digest, ProgressBar>>,
}

impl Bars {
    /// Lines on stderr, unless `is_quiet`.
    pub(crate) fn new(is_quiet: bool) -> Self {
        let lines = (!is_quiet).then(MultiProgress::new);
        if let Some(lines) = &lines {
            status::attach(lines.clone());
        }
        Self { lines, moving: Mutex::default() }
    }

    fn with(&self, act: impl FnOnce(&mut HashMap<Digest, ProgressBar>)) {
        act(&mut self.moving.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Progress for Bars {
    fn begin(&self, blob: &Digest, total_bytes: u64) {
        let Some(lines) = &self.lines else { return };
        let form = "  {prefix} {bar:30} {binary_bytes:>10} of {binary_total_bytes} {binary_bytes_per_sec}";
        let style = ProgressStyle::with_template(form).expect("the form of a line is right").progress_chars("━╸ ");
        let bar = lines.add(ProgressBar::new(total_bytes).with_style(style).with_prefix(blob.short().to_string()));
        self.with(|moving| drop(moving.insert(*blob, bar)));
    }

    fn reach(&self, blob: &Digest, position_bytes: u64) {
        self.with(|moving| {
            if let Some(bar) = moving.get(blob) {
                bar.set_position(position_bytes);
            }
        });
    }

    fn end(&self, blob: &Digest) {
        self.with(|moving| {
            if let Some(bar) = moving.remove(blob) {
                bar.finish_and_clear();
            }
        });
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Some(lines) = &self.lines {
            let _ = lines.clear();
            status::detach();
        }
    }
}
