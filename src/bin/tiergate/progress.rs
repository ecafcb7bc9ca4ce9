//! A progress bar on standard error, if that is a terminal, and lines of text above it.

use indicatif::{ProgressBar, ProgressStyle};

/// The number of lines between two updates.
const EVERY: u64 = 1024;

pub struct Progress(ProgressBar);

impl Progress {
    /// Creates a bar for a number of bytes, or for a stream of unknown length.
    pub fn new(bytes: Option<u64>) -> Self {
        let (bar, template) = match bytes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "{bar:30} {percent}% of {total_bytes}, {bytes_per_sec}, {eta} left",
            ),
            None => (
                ProgressBar::new_spinner(),
                "{spinner} {bytes} read, {bytes_per_sec}",
            ),
        };
        let style = ProgressStyle::with_template(template);
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    pub fn at(&self, line: u64, bytes: u64) {
        if line.is_multiple_of(EVERY) {
            self.0.set_position(bytes);
        }
    }

    /// Writes a line to standard error that the bar does not overwrite.
    pub fn say(&self, text: &str) {
        self.0.suspend(|| crate::say(text));
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
