//! When to read again what lies behind the cursor, as something may have been committed there.

use std::time::Duration;

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

/// From where on to read again.
#[derive(Debug, PartialEq)]
pub(super) enum Back {
    ToTheBeginning,
    /// A second.
    To(i64),
}

pub(in crate::worker) struct Revisits {
    /// Whole seconds that a commit can land behind its transaction's start.
    pub(super) window_seconds: i64,
    sweep: Timer,
    window: Revisit,
    /// `None` where this process hears of every commit.
    others: Option<Others>,
}

/// What other processes commit, of which nobody tells.
struct Others {
    recent: Revisit,
    next_poll: u64,
    poll: u64,
}

struct Revisit {
    timer: Timer,
    /// What the engine's time was at the latest one, in seconds. What was committed since cannot lie further before than
    /// its transaction was old.
    seen: i64,
}

impl Revisit {
    fn begin(&mut self, now_millis: u64, seen: i64) {
        self.timer.restart(now_millis);
        self.seen = seen;
    }
}

struct Timer {
    every: u64,
    next: u64,
}

impl Timer {
    fn new(every: u64, now_millis: u64) -> Self {
        Self { every, next: now_millis + every }
    }

    /// A clock that was set back doesn't keep the worker from reading until it is where it was.
    fn is_due(&mut self, now_millis: u64) -> bool {
        self.next = self.next.min(now_millis + self.every);
        now_millis >= self.next
    }

    fn restart(&mut self, now_millis: u64) {
        self.next = now_millis + self.every;
    }
}

impl Revisits {
    /// Begins at the engine's time `seen`, in seconds.
    pub(in crate::worker) fn new(
        max_transaction_age: Duration,
        is_only_writer: bool,
        now_millis: u64,
        seen: i64,
    ) -> Self {
        let revisit = |every| Revisit { timer: Timer::new(every, now_millis), seen };
        let others =
            || Others { recent: revisit(RECENT_EVERY), next_poll: now_millis + SHORTEST_POLL, poll: SHORTEST_POLL };
        Self {
            window_seconds: max_transaction_age.as_secs() as i64 + 2,
            sweep: Timer::new(SWEEP_EVERY, now_millis),
            window: revisit(WINDOW_EVERY),
            others: (!is_only_writer).then(others),
        }
    }

    /// Has everything read as soon as it is asked, for a reader that does not begin at the beginning.
    pub(super) fn sweep_now(&mut self) {
        self.sweep.next = 0;
    }

    /// Whether to go back, given the engine's time as it was last seen. Reading from the beginning takes the place of
    /// reading the window, and that of reading the recent past.
    pub(super) fn due(&mut self, now_millis: u64, seen: i64) -> Option<Back> {
        let (is_sweep, is_window) = (self.sweep.is_due(now_millis), self.window.timer.is_due(now_millis));
        let mut recent = self.others.as_mut().map(|others| &mut others.recent);
        let is_recent = recent.as_mut().is_some_and(|recent| recent.timer.is_due(now_millis));
        let back = match (is_sweep, is_window, &recent) {
            (true, ..) => Back::ToTheBeginning,
            (false, true, _) => Back::To((self.window.seen - self.window_seconds).max(0)),
            (false, false, Some(recent)) if is_recent => Back::To((recent.seen - RECENT).max(0)),
            _ => return None,
        };
        if is_sweep {
            self.sweep.restart(now_millis);
        }
        if is_sweep || is_window {
            self.window.begin(now_millis, seen);
        }
        if let Some(recent) = recent {
            recent.begin(now_millis, seen);
        }
        Some(back)
    }

    /// Whether to look for events of other processes.
    pub(super) fn is_poll_due(&mut self, now_millis: u64) -> bool {
        self.others.as_mut().is_some_and(|others| {
            others.next_poll = others.next_poll.min(now_millis + LONGEST_POLL);
            now_millis >= others.next_poll
        })
    }

    /// Notes that a page was read, and whether it had anything new.
    pub(super) fn note_page(&mut self, is_news: bool, now_millis: u64) {
        let Some(others) = &mut self.others else { return };
        others.poll = if is_news { SHORTEST_POLL } else { (others.poll * 2).min(LONGEST_POLL) };
        // Jitter keeps a fleet of workers from polling together.
        others.next_poll = now_millis + fastrand::u64(others.poll / 2..=others.poll);
    }

    /// When something is due next.
    pub(super) fn next_millis(&self) -> u64 {
        let regular = self.window.timer.next.min(self.sweep.next);
        self.others.as_ref().map_or(regular, |others| regular.min(others.next_poll).min(others.recent.timer.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: u64 = 1_000_000;

    fn revisits(is_only_writer: bool) -> Revisits {
        Revisits::new(Duration::from_secs(10), is_only_writer, BEGIN, 1_000)
    }

    #[test]
    fn the_recent_past_is_read_often_and_the_window_now_and_then() {
        let mut revisits = revisits(false);
        assert_eq!(revisits.due(BEGIN + RECENT_EVERY - 1, 1_000), None);
        assert_eq!(revisits.due(BEGIN + RECENT_EVERY, 1_001), Some(Back::To(998)));
        assert_eq!(revisits.due(BEGIN + RECENT_EVERY, 1_001), None);
        // From where the window was last read, whatever was read of the recent past meanwhile.
        assert_eq!(revisits.due(BEGIN + WINDOW_EVERY, 1_015), Some(Back::To(988)));
        assert_eq!(revisits.due(BEGIN + WINDOW_EVERY + RECENT_EVERY, 1_016), Some(Back::To(1_013)));
        assert_eq!(revisits.due(BEGIN + SWEEP_EVERY, 1_600), Some(Back::ToTheBeginning));
        assert_eq!(revisits.due(BEGIN + SWEEP_EVERY, 1_600), None, "which was read with it");
    }

    #[test]
    fn who_hears_of_every_commit_looks_for_none() {
        let mut revisits = revisits(true);
        assert_eq!(revisits.due(BEGIN + RECENT_EVERY, 1_001), None);
        assert!(!revisits.is_poll_due(BEGIN + LONGEST_POLL));
        assert_eq!(revisits.next_millis(), BEGIN + WINDOW_EVERY);
        assert_eq!(revisits.due(BEGIN + WINDOW_EVERY, 1_015), Some(Back::To(988)));
    }

    #[test]
    fn a_reader_that_does_not_begin_at_the_beginning_reads_everything_next() {
        let mut revisits = revisits(true);
        revisits.sweep_now();
        assert_eq!(revisits.due(BEGIN, 1_000), Some(Back::ToTheBeginning));
        assert_eq!(revisits.due(BEGIN, 1_000), None);
    }

    #[test]
    fn a_clock_that_is_set_back_delays_nothing_for_long() {
        let mut revisits = revisits(false);
        assert_eq!(revisits.due(0, 1_000), None);
        assert_eq!(revisits.due(RECENT_EVERY, 1_000), Some(Back::To(998)));
        assert!(!revisits.is_poll_due(0) && revisits.is_poll_due(LONGEST_POLL));
    }
}
