//! How far something is that takes long.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::escape::visible;

/// A bar or a counter on standard error, where that is a terminal. Gone when it is dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Of something whose size in bytes is known, or not.
    pub(crate) fn bytes(doing: &str, of: Option<u64>, is_quiet: bool) -> Self {
        let (known, unknown) = (
            "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            "{msg} {spinner} {bytes} {bytes_per_sec} {elapsed}",
        );
        Self::new(doing, of, if of.is_some() { known } else { unknown }, is_quiet)
    }

    fn new(doing: &str, of: Option<u64>, template: &str, is_quiet: bool) -> Self {
        let is_shown = !is_quiet && io::stderr().is_terminal();
        let target = if is_shown { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(of, target).with_message(visible(doing));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if is_shown {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Self(bar)
    }

    /// So far.
    pub(crate) fn at(&self, position: u64) {
        self.0.set_position(position);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
