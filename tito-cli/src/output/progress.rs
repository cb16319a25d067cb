//! How far something is that takes long.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::escape::visible;

/// A counter on standard error, where that is a terminal. Gone when it is dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Of bytes: how many there will be is known of nothing that takes long.
    pub(crate) fn bytes(doing: &str, is_quiet: bool) -> Self {
        let is_shown = !is_quiet && io::stderr().is_terminal();
        let target = if is_shown { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_message(visible(doing));
        if let Ok(style) = ProgressStyle::with_template("{msg} {spinner} {bytes} {bytes_per_sec} {elapsed}") {
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
