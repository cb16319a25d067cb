//! What the publisher of a unique event asks for.

use std::time::Duration;

/// The longest window: ten years of 365 days.
pub(super) const LONGEST_WINDOW: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A key that no two events of a type share within a window, for
/// [`TitoQueue::publish_unique`](crate::TitoQueue::publish_unique).
///
/// ```
/// use std::time::Duration;
/// use tito_worker::Unique;
/// let once_a_day = Unique::key("digest:user:17").window(Duration::from_secs(24 * 3600));
/// let debounced = Unique::key("index:order:4").window(Duration::from_secs(60)).replace();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Unique {
    pub(super) key: String,
    pub(super) window: Duration,
    pub(super) replaces: bool,
}

impl Unique {
    /// Unique by this key, any text, among the events of one type. By default the window is an hour and the earlier
    /// event is kept.
    pub fn key(key: impl Into<String>) -> Self {
        Self { key: key.into(), window: Duration::from_secs(3600), replaces: false }
    }

    /// How long the key is taken, from the start of the transaction that publishes, whatever happens to the event
    /// meanwhile. More than zero and at most ten years; rounded up to whole seconds.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// While the key is taken nothing is published: the earlier event is kept. This is the default.
    pub fn keep(mut self) -> Self {
        self.replaces = false;
        self
    }

    /// While the key is taken the earlier event is deleted, unless it is done, and the new one takes its place; the
    /// window starts again. With a delay this is a debounce: of a series of changes, only the last one is handled.
    pub fn replace(mut self) -> Self {
        self.replaces = true;
        self
    }
}
