//! When to read again what lies behind the cursor, because something may have been committed there.

use std::time::Duration;

/// How often the recent past is read again, unless the engine reports every commit.
const RECENT_EVERY: u64 = 1_000;
const RECENT: i64 = 2;
/// How often everything that a transaction could still commit into is read again.
pub(in crate::worker) const WINDOW_EVERY: u64 = 15_000;
/// How often the whole partition is read again.
pub(in crate::worker) const SWEEP_EVERY: u64 = 600_000;
/// How often an idle partition is polled for events of other processes.
const SHORTEST_POLL: u64 = 10;
const LONGEST_POLL: u64 = 500;

/// Where to start reading again.
#[derive(Debug, PartialEq)]
pub(super) enum Back {
    ToTheBeginning,
    /// A second.
    To(i64),
}

pub(in crate::worker) struct Revisits {
    /// Whole seconds that a commit can land behind its transaction's start.
    pub(super) window_seconds: i64,
    /// From the widest to the narrowest.
    all: Vec<Revisit>,
    /// `None` if this process hears of every commit.
    polls: Option<Polls>,
}

#[derive(Clone, Copy)]
struct Revisit {
    every: u64,
    next: u64,
    /// How many seconds it goes back from `seen`; `None` for all the way.
    reach: Option<i64>,
    /// The engine's time at the latest one, in seconds. Anything committed since lies at most a transaction's age
    /// before it.
    seen: i64,
}

struct Polls {
    every: u64,
    next: u64,
}

/// Whole seconds that a commit can land behind its transaction's start.
pub(in crate::worker) fn window_seconds(max_transaction_age: Duration) -> i64 {
    max_transaction_age.as_secs() as i64 + 2
}

impl Revisits {
    /// Starts at the engine's time `seen`, in seconds. There is less to do if the worker looks after all of its
    /// partitions together (`is_told`), or if the engine reports every commit.
    pub(in crate::worker) fn new(
        max_transaction_age: Duration,
        is_only_writer: bool,
        is_told: bool,
        clock_millis: u64,
        seen: i64,
    ) -> Self {
        let window_seconds = window_seconds(max_transaction_age);
        let revisit = |every: u64, reach| Revisit { every, next: clock_millis.saturating_add(every), reach, seen };
        let mut all = if is_told {
            // Only a sweep on request.
            vec![revisit(u64::MAX, None)]
        } else {
            vec![revisit(SWEEP_EVERY, None), revisit(WINDOW_EVERY, Some(window_seconds))]
        };
        if !is_only_writer {
            all.push(revisit(RECENT_EVERY, Some(RECENT)));
        }
        let polls = (!is_only_writer).then_some(Polls { every: SHORTEST_POLL, next: clock_millis + SHORTEST_POLL });
        Self { window_seconds, all, polls }
    }

    /// Makes everything due for reading at the next call, for a reader that doesn't start at the beginning.
    pub(super) fn sweep_now(&mut self) {
        self.all[0].next = 0;
    }

    /// Whether to go back, given the engine's time as last seen. A wider revisit replaces the narrower ones.
    pub(super) fn due(&mut self, clock_millis: u64, seen: i64) -> Option<Back> {
        let due = self.all.iter().position(|revisit| clock_millis >= revisit.next)?;
        let Revisit { reach, seen: seen_then, .. } = self.all[due];
        for revisit in &mut self.all[due..] {
            *revisit = Revisit { next: clock_millis.saturating_add(revisit.every), seen, ..*revisit };
        }
        Some(reach.map_or(Back::ToTheBeginning, |reach| Back::To((seen_then - reach).max(0))))
    }

    /// Whether to look for events of other processes.
    pub(super) fn is_poll_due(&self, clock_millis: u64) -> bool {
        self.polls.as_ref().is_some_and(|polls| clock_millis >= polls.next)
    }

    /// Records that a page was read, and whether it had anything new.
    pub(super) fn note_page(&mut self, is_news: bool, clock_millis: u64) {
        let Some(polls) = &mut self.polls else { return };
        polls.every = if is_news { SHORTEST_POLL } else { (polls.every * 2).min(LONGEST_POLL) };
        // Jitter keeps a fleet of workers from polling together.
        polls.next = clock_millis + fastrand::u64(polls.every / 2..=polls.every);
    }

    /// Whether nothing was found for so long that polls are as rare as they get.
    pub(super) fn has_backed_off(&self) -> bool {
        self.polls.as_ref().is_some_and(|polls| polls.every >= LONGEST_POLL)
    }

    /// Continues after a period in which others looked, up to the engine's time `seen`, in seconds.
    pub(super) fn resume(&mut self, clock_millis: u64, seen: i64) {
        for revisit in &mut self.all {
            *revisit = Revisit { next: clock_millis.saturating_add(revisit.every), seen, ..*revisit };
        }
    }

    /// When the next revisit is due.
    pub(super) fn next_millis(&self) -> u64 {
        let polls = self.polls.as_ref().map(|polls| polls.next);
        self.all.iter().map(|revisit| revisit.next).chain(polls).min().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: u64 = 1_000_000;

    fn revisits(is_only_writer: bool) -> Revisits {
        Revisits::new(Duration::from_secs(10), is_only_writer, false, BEGIN, 1_000)
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
    fn who_is_told_when_to_look_again_waits_for_nothing() {
        let mut revisits = Revisits::new(Duration::from_secs(10), true, true, BEGIN, 1_000);
        assert_eq!(revisits.next_millis(), u64::MAX);
        revisits.sweep_now();
        assert_eq!(revisits.due(BEGIN, 1_000), Some(Back::ToTheBeginning));
        assert_eq!(revisits.next_millis(), u64::MAX);
    }

    #[test]
    fn a_reader_that_does_not_begin_at_the_beginning_reads_everything_next() {
        let mut revisits = revisits(true);
        revisits.sweep_now();
        assert_eq!(revisits.due(BEGIN, 1_000), Some(Back::ToTheBeginning));
        assert_eq!(revisits.due(BEGIN, 1_000), None);
    }
}
