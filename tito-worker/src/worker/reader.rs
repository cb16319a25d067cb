//! When to read which part of a partition.
//!
//! The cursor lies behind everything that was handed out or seen to be gone. It is kept in memory only, and goes back
//! whenever something may have been committed behind it: an event of a transaction that began earlier than others and
//! committed later, a retry, or the commit of another process. Going back is safe, because events that are held are
//! known and events that are done are deleted; it costs reading what is held once more.

use std::time::Duration;

use tito_core::Timestamp;
use tito_core::keys::{self, KeyRange};

/// The recent past is read again this often, unless the engine tells of every commit.
const RECENT_EVERY: u64 = 1_000;
const RECENT: i64 = 2;
/// All that a transaction could still commit into is read again this often.
const WINDOW_EVERY: u64 = 15_000;
/// The whole partition is read again this often.
const SWEEP_EVERY: u64 = 600_000;
/// Polls of an idle partition for events of other processes.
const SHORTEST_POLL: u64 = 10;
const LONGEST_POLL: u64 = 500;

const SMALLEST_PAGE: usize = 32;
const LARGEST_PAGE: usize = 1_024;

/// How many bytes a page has at the most, about: it is asked for by the number of its events.
const PAGE_BYTES: usize = 4 << 20;

/// What a page came to.
pub(super) struct PageRead {
    /// When it was read.
    seen: Timestamp,
    /// What the clock showed when it was asked for.
    asked_millis: u64,
    /// How many entries it had.
    entries: usize,
    /// How many of them the cursor has passed, and their bytes.
    passed: usize,
    bytes: usize,
    /// The second of the event past the present at which it ended.
    pub(super) next_due: Option<i64>,
    /// Whether not all of it could be taken.
    pub(super) is_cut: bool,
}

impl PageRead {
    pub(super) fn new(seen: Timestamp, asked_millis: u64, entries: usize) -> Self {
        Self { seen, asked_millis, entries, passed: 0, bytes: 0, next_due: None, is_cut: false }
    }

    pub(super) fn count(&mut self, bytes: usize) {
        self.passed += 1;
        self.bytes += bytes;
    }

    fn mean_size(&self) -> usize {
        self.bytes.checked_div(self.passed).unwrap_or(0)
    }
}

pub(super) struct Reader {
    queue: String,
    partition: u16,
    /// The first key that was not read yet.
    cursor: Vec<u8>,
    page: usize,
    /// Whether the page that is being read says nothing of what comes after the present.
    ends_with_present: bool,
    /// Whether there is something to read now.
    is_behind: bool,
    /// The second of the first event past the present that is known of.
    next_due: Option<i64>,
    /// Whole seconds that a commit can land behind its transaction's start.
    window: i64,
    is_only_writer: bool,
    /// Whether what may have been committed behind the cursor is to be handed out first.
    looks_back: bool,
    /// When the reading of everything from the window on began, for the latest time.
    pass: Option<Timestamp>,
    /// The engine's time, in whole seconds, when the latest page was read.
    seen: i64,
    /// By how many milliseconds the clock is ahead of the engine's time.
    lead: u64,
    /// What `seen` was when the window was last read from its beginning, and the recent past. What was committed since
    /// cannot lie further before these than its transaction was old.
    window_seen: i64,
    recent_seen: i64,
    next_recent: u64,
    next_window: u64,
    next_sweep: u64,
    next_poll: u64,
    poll: u64,
}

impl Reader {
    #[allow(clippy::too_many_arguments)] // Called once, with what a partition knows.
    /// Begins at `floor` if a checkpoint gives one, to be quick; the whole partition is read once that is done.
    pub(super) fn new(
        queue: &str,
        partition: u16,
        floor: Option<i64>,
        seen: Timestamp,
        now_millis: u64,
        max_transaction_age_millis: u64,
        is_only_writer: bool,
        looks_back: bool,
    ) -> Self {
        let all = keys::events_of_partition(queue, partition);
        Self {
            queue: queue.to_string(),
            partition,
            cursor: floor.map_or(all.start, |floor| keys::events_from_second(queue, partition, floor)),
            page: SMALLEST_PAGE,
            ends_with_present: false,
            is_behind: true,
            next_due: None,
            window: Duration::from_millis(max_transaction_age_millis).as_secs() as i64 + 2,
            is_only_writer,
            looks_back: looks_back && !is_only_writer,
            pass: None,
            seen: seen.seconds(),
            lead: 0,
            window_seen: seen.seconds(),
            recent_seen: seen.seconds(),
            next_recent: now_millis + RECENT_EVERY,
            next_window: now_millis + WINDOW_EVERY,
            next_sweep: if floor.is_some() { now_millis } else { now_millis + SWEEP_EVERY },
            next_poll: now_millis + SHORTEST_POLL,
            poll: SHORTEST_POLL,
        }
    }

    /// Whether to read now.
    pub(super) fn wants_to_read(&mut self, now_millis: u64) -> bool {
        // A clock that was set back doesn't keep the worker from reading until it is where it was.
        self.next_recent = self.next_recent.min(now_millis + RECENT_EVERY);
        self.next_window = self.next_window.min(now_millis + WINDOW_EVERY);
        self.next_sweep = self.next_sweep.min(now_millis + SWEEP_EVERY);
        self.next_poll = self.next_poll.min(now_millis + LONGEST_POLL);
        if now_millis >= self.next_sweep {
            self.next_sweep = now_millis + SWEEP_EVERY;
            self.read_again_from(keys::events_of_partition(&self.queue, self.partition).start, now_millis);
        } else if now_millis >= self.next_window {
            let from = (self.window_seen - self.window).max(0);
            self.read_again_from(keys::events_from_second(&self.queue, self.partition, from), now_millis);
        } else if !self.is_only_writer && now_millis >= self.next_recent {
            self.next_recent = now_millis + RECENT_EVERY;
            let from = self.recent_seen - RECENT;
            self.recent_seen = self.seen;
            self.go_back(keys::events_from_second(&self.queue, self.partition, from.max(0)));
        }
        let is_due = self.next_due.is_some_and(|due| due <= self.present(now_millis));
        let is_poll = !self.is_only_writer && now_millis >= self.next_poll;
        self.is_behind |= is_due || is_poll;
        self.is_behind
    }

    /// When to read next if nothing happens before.
    pub(super) fn next_read_millis(&self) -> u64 {
        let due = self.next_due.map(|due| self.shows_millis(due));
        let regular = self.next_window.min(self.next_sweep);
        let polls = if self.is_only_writer { regular } else { self.next_poll.min(self.next_recent) };
        due.unwrap_or(u64::MAX).min(regular).min(polls)
    }

    /// The engine's time as far as it is known, in whole seconds. It stands still while a clock that was set back
    /// catches up.
    pub(super) fn present(&self, now_millis: u64) -> i64 {
        let by_clock = now_millis.saturating_sub(self.lead) / 1000;
        self.seen.max(by_clock as i64)
    }

    /// When the present will be a second, in milliseconds of the clock.
    pub(super) fn shows_millis(&self, second: i64) -> u64 {
        u64::try_from(second).unwrap_or(0).saturating_mul(1_000).saturating_add(self.lead)
    }

    /// Notes when a page was read, in a reading that may be the first of a pass.
    pub(super) fn note_pass(&mut self, seen: Timestamp) {
        self.pass.get_or_insert(seen);
    }

    /// Events of transactions that began since then have to wait for another pass over the window: others write too, and
    /// since this pass began, an earlier event of their entity may have been committed behind the cursor. What was
    /// committed before the pass began was seen by it.
    pub(super) fn looks_back_from(&self) -> Option<Timestamp> {
        self.pass.filter(|_| self.looks_back)
    }

    /// Goes back for that.
    pub(super) fn look_back(&mut self) {
        let Some(pass) = self.pass.take() else { return };
        let window = (pass.seconds() - self.window).max(0);
        self.go_back(keys::events_from_second(&self.queue, self.partition, window));
    }

    /// Notes that an event was committed under `key`.
    pub(super) fn note_commit(&mut self, key: &[u8], now_millis: u64) {
        if key < self.cursor.as_slice() {
            self.cursor = key.to_vec();
        }
        match keys::parse_event_second(key) {
            Some(second) if second > self.present(now_millis) => {
                self.next_due = Some(self.next_due.map_or(second, |due| due.min(second)));
            }
            _ => self.is_behind = true,
        }
    }

    /// What to read: a range and how many keys of it. A small page may show the next event that is not due yet; a large
    /// one ends with the present, as it would show many of them.
    pub(super) fn next_page(&mut self, now_millis: u64) -> (KeyRange, usize) {
        self.ends_with_present = self.page > SMALLEST_PAGE;
        let end = if self.ends_with_present {
            Some(keys::events_from_second(&self.queue, self.partition, self.present(now_millis) + 1))
        } else {
            keys::events_of_partition(&self.queue, self.partition).end
        };
        (KeyRange { start: self.cursor.clone(), end }, self.page)
    }

    /// Whether the cursor lies behind a key.
    pub(super) fn has_passed(&self, key: &[u8]) -> bool {
        key < self.cursor.as_slice()
    }

    /// Passes a key that was handed out or is held.
    pub(super) fn pass(&mut self, key: &[u8]) {
        self.cursor.clear();
        self.cursor.extend_from_slice(key);
        self.cursor.push(0);
    }

    /// Notes that a page was read.
    pub(super) fn note_page(&mut self, page: &PageRead, now_millis: u64) {
        self.seen = self.seen.max(page.seen.seconds());
        // From before the read, whose own duration would pass for a lead: rather too small, at the price of a read that
        // comes too early, than too large, at the price of an event that is handed out late.
        self.lead = page.asked_millis.saturating_sub(page.seen.physical_millis());
        let is_full = page.entries >= self.page && page.next_due.is_none();
        self.is_behind = is_full || page.is_cut || self.ends_with_present;
        if !self.is_behind {
            self.next_due = page.next_due;
        }
        let largest = (PAGE_BYTES / page.mean_size().max(1)).clamp(1, LARGEST_PAGE);
        self.page = if is_full { (self.page * 4).min(largest) } else { SMALLEST_PAGE.min(largest) };
        self.poll = if page.passed > 0 { SHORTEST_POLL } else { (self.poll * 2).min(LONGEST_POLL) };
        // Jitter keeps a fleet of workers from polling together.
        self.next_poll = now_millis + fastrand::u64(self.poll / 2..=self.poll);
    }

    /// Whether everything that is due was read.
    pub(super) fn has_caught_up(&self, now_millis: u64) -> bool {
        !self.is_behind && self.next_due.is_none_or(|due| due > self.present(now_millis))
    }

    /// The second from which on something may not be done yet, given the first that is held.
    pub(super) fn floor(&self, first_held: Option<i64>) -> i64 {
        let cursor = keys::parse_event_second(&self.cursor).unwrap_or(0);
        first_held.unwrap_or(i64::MAX).min(cursor).min(self.seen - self.window).max(0)
    }

    /// Reads everything from a key on, which takes the place of reading the window and the recent past.
    fn read_again_from(&mut self, key: Vec<u8>, now_millis: u64) {
        self.next_window = now_millis + WINDOW_EVERY;
        self.next_recent = now_millis + RECENT_EVERY;
        self.window_seen = self.seen;
        self.recent_seen = self.seen;
        self.go_back(key);
    }

    fn go_back(&mut self, key: Vec<u8>) {
        if key < self.cursor {
            self.cursor = key;
        }
        self.is_behind = true;
    }
}
