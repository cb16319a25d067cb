//! When to read which part of a partition.
//!
//! The cursor lies behind everything that was handed out or found to be gone. It is kept only in memory, and goes back
//! whenever something may have been committed behind it: an event whose transaction began earlier and committed later
//! than others, a retry, or the commit of another process. Going back is safe, because loaded events are known and done
//! ones are deleted; it only costs reading loaded events once more.

mod revisits;
mod time;

use tito_core::keys::KeyRange;
use tito_core::{Now, Timestamp};

use crate::keys;

use self::revisits::Back;
pub(super) use self::revisits::{Revisits, SWEEP_EVERY, WINDOW_EVERY, window_seconds};
pub(super) use self::time::EngineTime;

const SMALLEST_PAGE: usize = 32;
const LARGEST_PAGE: usize = 1_024;

/// Roughly how many bytes a page has at most; pages are requested by number of events.
const PAGE_BYTES: usize = 4 << 20;

/// After how many seconds without an event others may look for events. TiKV keeps deleted keys for ten minutes by
/// default, and looking at many partitions together means skipping all of them.
const QUIET_AFTER: i64 = 900;

/// The result of a page.
pub(super) struct PageRead {
    /// The subscription's present when the page was read.
    seen: Now,
    /// The monotonic clock when the page was requested.
    asked_millis: u64,
    /// How many entries it had.
    entries: usize,
    /// How many of them the cursor has passed, and their size in bytes.
    passed: usize,
    bytes: usize,
    /// Why the rest was not taken in.
    pub(super) end: Option<End>,
}

/// Why the rest of a page is not taken in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// The rest falls due only from this second on.
    NotDue(i64),
    /// An earlier event of the entity may have been committed behind the cursor.
    LooksBack,
    NoRoom,
}

impl PageRead {
    pub(super) fn new(seen: Now, asked_millis: u64, entries: usize) -> Self {
        Self { seen, asked_millis, entries, passed: 0, bytes: 0, end: None }
    }

    pub(super) fn count(&mut self, bytes: usize) {
        self.passed += 1;
        self.bytes += bytes;
    }

    fn mean_size(&self) -> usize {
        self.bytes.checked_div(self.passed).unwrap_or(0)
    }
}

pub(super) struct Cursor {
    queue: String,
    partition: u16,
    /// The first key not read yet.
    cursor: Vec<u8>,
    page: usize,
    /// Whether the page being read says nothing about what comes after the present.
    ends_with_present: bool,
    /// Whether there is something to read now.
    is_behind: bool,
    /// The second of the first known event after the present.
    next_due: Option<i64>,
    /// When the latest read of everything from the window on began: its place in the order, and the second.
    pass: Option<(Timestamp, i64)>,
    pub(super) time: EngineTime,
    revisits: Revisits,
    /// When an event was last seen, in seconds of the engine's time, as far as known.
    news: i64,
    /// Whether others look for events in its place.
    is_quiet: bool,
}

impl Cursor {
    /// Starts at `floor` if a checkpoint gives one, for speed; the whole partition is read once that is done.
    pub(super) fn new(
        queue: &str,
        partition: u16,
        floor: Option<i64>,
        (seen, asked_millis): (Now, u64),
        mut revisits: Revisits,
    ) -> Self {
        let all = keys::events_of_partition(queue, partition);
        if floor.is_some() {
            revisits.sweep_now();
        }
        let mut time = EngineTime::default();
        time.note(seen, asked_millis);
        Self {
            queue: queue.to_string(),
            partition,
            cursor: floor.map_or(all.start, |floor| keys::events_from_second(queue, partition, floor)),
            page: SMALLEST_PAGE,
            ends_with_present: false,
            is_behind: true,
            next_due: None,
            pass: None,
            time,
            revisits,
            news: 0,
            is_quiet: false,
        }
    }

    /// Treats the partition as one that had events until a second.
    pub(super) fn had_events_until(&mut self, second: i64) {
        self.news = second;
    }

    /// Whether nothing has come for so long that others may look for events in its place.
    pub(super) fn may_be_quiet(&self, clock_millis: u64) -> bool {
        let since = self.time.present(clock_millis).saturating_sub(self.news);
        self.has_caught_up(clock_millis) && self.revisits.has_backed_off() && since >= QUIET_AFTER
    }

    /// Leaves looking for events to others, or stops doing so.
    pub(super) fn set_quiet(&mut self, is_quiet: bool, clock_millis: u64) {
        if self.is_quiet && !is_quiet {
            self.revisits.resume(clock_millis, self.time.seen());
        }
        self.is_quiet = is_quiet;
    }

    /// Reads now, whether or not anything is known to be due.
    pub(super) fn look(&mut self) {
        self.is_behind = true;
    }

    /// Whether to read now.
    pub(super) fn wants_to_read(&mut self, clock_millis: u64) -> bool {
        let due = if self.is_quiet { None } else { self.revisits.due(clock_millis, self.time.seen()) };
        match due {
            None => {}
            Some(Back::ToTheBeginning) => self.go_back(keys::events_of_partition(&self.queue, self.partition).start),
            Some(Back::To(second)) => self.go_back(self.events_from(second)),
        }
        let is_due = self.next_due.is_some_and(|due| due <= self.time.present(clock_millis));
        self.is_behind |= is_due | (!self.is_quiet && self.revisits.is_poll_due(clock_millis));
        self.is_behind
    }

    /// When to read next if nothing happens before.
    pub(super) fn next_read_millis(&self) -> u64 {
        let due = self.next_due.map_or(u64::MAX, |due| self.time.shows_millis(due));
        if self.is_quiet { due } else { due.min(self.revisits.next_millis()) }
    }

    /// Records when a page was read, in a read that may be the first of a pass. A pass sees what was committed before
    /// it began.
    pub(super) fn pass_began(&mut self, seen: Timestamp, now: Now) -> Timestamp {
        self.pass.get_or_insert((seen, now.seconds())).0
    }

    /// Starts another pass over everything that transactions could have committed into since the latest one began.
    pub(super) fn look_back(&mut self) {
        let Some((_, second)) = self.pass.take() else { return };
        let window = (second - self.revisits.window_seconds).max(0);
        self.go_back(self.events_from(window));
    }

    /// Notes that an event was committed under `key`.
    pub(super) fn note_commit(&mut self, key: &[u8], clock_millis: u64) {
        if key < self.cursor.as_slice() {
            self.cursor = key.to_vec();
        }
        match keys::parse_event_second(key) {
            Some(second) if second > self.time.present(clock_millis) => {
                self.next_due = Some(self.next_due.map_or(second, |due| due.min(second)));
            }
            _ => self.is_behind = true,
        }
    }

    /// What to read: a range, and how many of its keys. A small page may show the next event that isn't due yet; a
    /// large one ends with the present, since it would show many of them.
    pub(super) fn next_page(&mut self, clock_millis: u64) -> (KeyRange, usize) {
        self.ends_with_present = self.page > SMALLEST_PAGE;
        let end = if self.ends_with_present {
            Some(self.events_from(self.time.present(clock_millis) + 1))
        } else {
            keys::events_of_partition(&self.queue, self.partition).end
        };
        (KeyRange { start: self.cursor.clone(), end }, self.page)
    }

    /// Whether the cursor lies behind a key.
    pub(super) fn has_passed(&self, key: &[u8]) -> bool {
        key < self.cursor.as_slice()
    }

    /// Passes a key that was handed out or is loaded.
    pub(super) fn pass(&mut self, key: &[u8]) {
        self.cursor.clear();
        self.cursor.extend_from_slice(key);
        self.cursor.push(0);
    }

    /// Notes that a page was read.
    pub(super) fn note_page(&mut self, page: &PageRead, clock_millis: u64) {
        self.time.note(page.seen, page.asked_millis);
        let next_due = match page.end {
            Some(End::NotDue(second)) => Some(second),
            _ => None,
        };
        let is_full = page.entries >= self.page && next_due.is_none();
        let is_cut = matches!(page.end, Some(End::LooksBack | End::NoRoom));
        self.is_behind = is_full || is_cut || self.ends_with_present;
        if !self.is_behind {
            self.next_due = next_due;
        }
        let largest = (PAGE_BYTES / page.mean_size().max(1)).clamp(1, LARGEST_PAGE);
        self.page = if is_full { (self.page * 4).min(largest) } else { SMALLEST_PAGE.min(largest) };
        if page.passed > 0 {
            self.news = self.time.present(clock_millis);
        }
        self.revisits.note_page(page.passed > 0, clock_millis);
    }

    /// Whether everything that is due was read.
    pub(super) fn has_caught_up(&self, clock_millis: u64) -> bool {
        !self.is_behind && self.next_due.is_none_or(|due| due > self.time.present(clock_millis))
    }

    /// The second from which on something may not be done yet, given the first second that is loaded.
    pub(super) fn floor(&self, first_held: Option<i64>) -> i64 {
        let cursor = keys::parse_event_second(&self.cursor).unwrap_or(0);
        first_held.unwrap_or(i64::MAX).min(cursor).min(self.time.seen() - self.revisits.window_seconds).max(0)
    }

    fn events_from(&self, second: i64) -> Vec<u8> {
        keys::events_from_second(&self.queue, self.partition, second)
    }

    fn go_back(&mut self, key: Vec<u8>) {
        if key < self.cursor {
            self.cursor = key;
        }
        self.is_behind = true;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// For a partition that was often read and found empty.
    fn backed_off() -> Cursor {
        let now = Now::from_millis(5_000_000);
        let revisits = Revisits::new(Duration::from_secs(10), false, false, 0, now.seconds());
        let mut cursor = Cursor::new("job", 0, None, (now, 0), revisits);
        for _ in 0..10 {
            cursor.note_page(&PageRead::new(now, 0, 0), 0);
        }
        cursor
    }

    #[test]
    fn a_partition_is_quiet_once_nothing_has_come_for_a_quarter_of_an_hour() {
        let mut cursor = backed_off();
        assert!(cursor.may_be_quiet(0), "nothing is known to have come ever");
        cursor.had_events_until(5_000 - QUIET_AFTER + 1);
        assert!(!cursor.may_be_quiet(0));
        assert!(cursor.may_be_quiet(1_000));
        let mut page = PageRead::new(Now::from_millis(5_001_000), 1_000, 1);
        page.count(100);
        cursor.note_page(&page, 1_000);
        assert!(!cursor.may_be_quiet(1_000));
    }

    #[test]
    fn a_quiet_partition_reads_when_it_is_told_or_something_is_due() {
        let mut cursor = backed_off();
        cursor.set_quiet(true, 0);
        assert_eq!(cursor.next_read_millis(), u64::MAX);
        assert!(!cursor.wants_to_read(SWEEP_EVERY));
        cursor.note_commit(&keys::event("job", 0, 5_010, uuid::Uuid::from_u128(1)), 0);
        assert_eq!(cursor.next_read_millis(), 10_000);
        assert!(cursor.wants_to_read(10_000));
        // Later it looks by itself again, but not at what others have looked at in the meantime.
        let mut cursor = backed_off();
        cursor.set_quiet(true, 0);
        cursor.set_quiet(false, 100_000);
        assert!(cursor.next_read_millis() <= 101_000);
    }
}
