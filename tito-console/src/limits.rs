//! How much a request may ask for.

use std::time::Duration;

/// How large requests may be, and how long they may take.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ConsoleLimits {
    pub(crate) body_bytes: usize,
    pub(crate) body_time: Duration,
    pub(crate) read_time: Duration,
    pub(crate) change_time: Duration,
    pub(crate) calls: usize,
    pub(crate) streams: usize,
    pub(crate) walk_time: Duration,
    pub(crate) heartbeat: Duration,
}

impl Default for ConsoleLimits {
    /// See each method.
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            body_time: Duration::from_secs(10),
            read_time: Duration::from_secs(10),
            change_time: Duration::from_secs(120),
            calls: 64,
            streams: 8,
            walk_time: Duration::from_secs(12 * 60 * 60),
            heartbeat: Duration::from_secs(15),
        }
    }
}

impl ConsoleLimits {
    /// How many bytes the body of a request may have. Default: 1 MiB. A larger one is refused with 413.
    pub fn body_bytes(mut self, bytes: usize) -> Self {
        self.body_bytes = bytes;
        self
    }

    /// How long the body of a request may take to arrive. Default: 10 s; then the answer is 408.
    pub fn body_time(mut self, time: Duration) -> Self {
        self.body_time = time;
        self
    }

    /// How long a request that only reads may take. Default: 10 s; then the answer is 504.
    pub fn read_time(mut self, time: Duration) -> Self {
        self.read_time = time;
        self
    }

    /// How long a request that changes something may take. Default: 120 s, as a new group takes 35 s on TiKV; then the
    /// answer is 504, and part of it may be done.
    pub fn change_time(mut self, time: Duration) -> Self {
        self.change_time = time;
        self
    }

    /// How many tails and watches there may be at once, which last as long as somebody listens. Default: 8; more are
    /// refused with 429. Two backups and one verification are allowed in addition.
    pub fn streams(mut self, streams: usize) -> Self {
        self.streams = streams;
        self
    }

    /// How long a backup or a verification may take, as it keeps what it reads from being cleaned up. Default: 12 h.
    /// After that a backup's connection is cut, and the last line of a verification is an error.
    pub fn walk_time(mut self, time: Duration) -> Self {
        self.walk_time = time;
        self
    }

    /// How often an answer of lines has an empty one, by which a peer is found out that has gone without a word while there is
    /// nothing to say. Default: 15 s.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// How many requests may be under way at once. Default: 64; more are refused with 429. At least 1.
    pub fn calls(mut self, calls: usize) -> Self {
        self.calls = calls.max(1);
        self
    }
}
