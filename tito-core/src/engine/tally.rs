//! How many things there are, by a number of each, kept in memory from what commits say.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::timestamp::Timestamp;

/// Of how many numbers it is known how many things have them: of the smallest ones. Some 16 MiB.
const MOST_NUMBERS: usize = if cfg!(test) { 50 } else { 1 << 20 };

/// How many things there are, by a number that each has, such as the second at which it falls due. It knows nothing until
/// somebody has [counted](Tally::count) once; from then on commits keep it, by [`Signals`](super::Signals).
///
/// Only where the signals of all commits are heard: where
/// [`is_only_writer`](crate::engine::TitoEngine::is_only_writer) holds.
#[derive(Debug, Default)]
pub struct Tally(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    Counting(Counting),
    Known(Known),
}

/// What commits have changed since somebody began to count.
#[derive(Debug, Default)]
struct Counting {
    /// What is counted is the state at this time. `None` until that is known.
    since: Option<Timestamp>,
    /// What was heard until then.
    early: Vec<(Timestamp, TallyChange)>,
    changed: BTreeMap<i64, i64>,
    is_spoiled: bool,
}

#[derive(Debug)]
struct Known {
    /// What was committed by then is counted already.
    since: Timestamp,
    counts: BTreeMap<i64, u64>,
    /// What has this number or a greater one is not counted.
    until: i64,
    /// How many have this number or a smaller one.
    up_to: (i64, u64),
}

/// The tallies of a process, by what they are of. Only those that somebody has asked for: whoever counts does so before
/// looking at what is there, so a commit that comes later finds the tally.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    /// So that commits take no lock where nobody has asked for any.
    has_some: AtomicBool,
    tallies: RwLock<HashMap<Box<[u8]>, Arc<Tally>>>,
}

impl Tallies {
    /// That of something, made when it is first asked for.
    pub(super) fn of(&self, what: &[u8]) -> Arc<Tally> {
        if let Some(tally) = self.tallies.read().unwrap_or_else(PoisonError::into_inner).get(what) {
            return tally.clone();
        }
        let mut tallies = self.tallies.write().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.entry(what.into()).or_default().clone();
        self.has_some.store(true, Ordering::Release);
        tally
    }

    /// Takes in what a commit has changed.
    pub(super) fn change(
        &self,
        changes: impl ExactSizeIterator<Item = (Box<[u8]>, TallyChange)>,
        committed: Timestamp,
    ) {
        if changes.len() == 0 || !self.has_some.load(Ordering::Acquire) {
            return;
        }
        let tallies = self.tallies.read().unwrap_or_else(PoisonError::into_inner);
        for (what, change) in changes {
            if let Some(tally) = tallies.get(&what) {
                tally.change(change, committed);
            }
        }
    }
}

/// What a commit changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TallyChange {
    /// So many more, or less, have a number.
    By {
        /// The number.
        number: i64,
        /// How many more.
        by: i64,
    },
    /// Something, nobody knows what: all has to be counted again.
    Something,
}

/// What a [`Tally`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tallied {
    /// How many there are.
    pub count: u64,
    /// The smallest number that one of them has.
    pub smallest: Option<i64>,
}

impl Tally {
    /// Begins to count. `None` while somebody else does.
    pub fn count(self: &Arc<Self>) -> Option<TallyCount> {
        let mut state = self.locked();
        if matches!(*state, State::Counting(_)) {
            return None;
        }
        *state = State::Counting(Counting::default());
        Some(TallyCount { tally: self.clone(), counts: BTreeMap::new(), until: i64::MAX })
    }

    /// How many have this number or a smaller one. `None` where that is not known.
    pub fn up_to(&self, number: i64) -> Option<Tallied> {
        match &mut *self.locked() {
            State::Known(known) => known.up_to(number),
            State::Unknown | State::Counting(_) => None,
        }
    }

    /// Takes in what a commit has changed.
    fn change(&self, change: TallyChange, committed: Timestamp) {
        let mut state = self.locked();
        let is_right = match &mut *state {
            State::Unknown => return,
            State::Counting(counting) => {
                counting.change(change, committed);
                return;
            }
            State::Known(known) if committed <= known.since => return,
            State::Known(known) => match change {
                TallyChange::By { number, by } => known.change(number, by),
                TallyChange::Something => false,
            },
        };
        if !is_right {
            *state = State::Unknown;
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counting {
    fn change(&mut self, change: TallyChange, committed: Timestamp) {
        let Some(since) = self.since else { return self.early.push((committed, change)) };
        match change {
            // The state that is counted has it.
            _ if committed <= since => {}
            TallyChange::By { number, by } => *self.changed.entry(number).or_default() += by,
            TallyChange::Something => self.is_spoiled = true,
        }
    }
}

impl Known {
    /// Returns false if there would be less than none.
    fn change(&mut self, number: i64, by: i64) -> bool {
        if number >= self.until {
            return true;
        }
        let before = self.counts.get(&number).copied().unwrap_or(0);
        let Some(count) = before.checked_add_signed(by) else { return false };
        if count == 0 {
            self.counts.remove(&number);
        } else {
            self.counts.insert(number, count);
        }
        let (up_to, sum) = &mut self.up_to;
        if number <= *up_to {
            *sum = sum.saturating_add_signed(by);
        }
        self.shrink();
        true
    }

    fn shrink(&mut self) {
        while self.counts.len() > MOST_NUMBERS
            && let Some((number, count)) = self.counts.pop_last()
        {
            self.until = number;
            if number <= self.up_to.0 {
                self.up_to = (number - 1, self.up_to.1 - count);
            }
        }
    }

    fn up_to(&mut self, number: i64) -> Option<Tallied> {
        if number >= self.until {
            return None;
        }
        let (before, sum) = self.up_to;
        // Mostly a little further than the last time.
        let between = |from: i64, to: i64| self.counts.range(from..=to).map(|(_, count)| count).sum::<u64>();
        let count = if number >= before {
            sum + if number == before { 0 } else { between(before + 1, number) }
        } else {
            sum - between(number + 1, before)
        };
        self.up_to = (number, count);
        let smallest = self.counts.first_key_value().map(|(smallest, _)| *smallest);
        Some(Tallied { count, smallest: smallest.filter(|smallest| *smallest <= number) })
    }
}

/// A count that is under way. Dropped before it is finished, nothing is known.
#[derive(Debug)]
pub struct TallyCount {
    tally: Arc<Tally>,
    counts: BTreeMap<i64, u64>,
    until: i64,
}

impl TallyCount {
    /// What is counted is what a transaction or a snapshot of this time sees, which was begun after the count.
    pub fn at(&self, time: Timestamp) {
        if let State::Counting(counting) = &mut *self.tally.locked() {
            counting.since = Some(time);
            for (committed, change) in std::mem::take(&mut counting.early) {
                counting.change(change, committed);
            }
        }
    }

    /// Counts one thing.
    pub fn add(&mut self, number: i64) {
        if number < self.until {
            *self.counts.entry(number).or_default() += 1;
        }
        while self.counts.len() > MOST_NUMBERS
            && let Some((number, _)) = self.counts.pop_last()
        {
            self.until = number;
        }
    }

    /// All was counted: from now on it is known. Returns false where commits have changed something, nobody knows what.
    pub fn finish(mut self) -> bool {
        let mut state = self.tally.locked();
        let State::Counting(Counting { since: Some(since), changed, is_spoiled, .. }) = &mut *state else {
            return false;
        };
        let (counts, changed) = (std::mem::take(&mut self.counts), std::mem::take(changed));
        let mut known = Known { since: *since, counts, until: self.until, up_to: (i64::MIN, 0) };
        let is_right = !*is_spoiled && changed.into_iter().all(|(number, by)| known.change(number, by));
        *state = if is_right { State::Known(known) } else { State::Unknown };
        is_right
    }
}

impl Drop for TallyCount {
    fn drop(&mut self) {
        let mut state = self.tally.locked();
        if matches!(*state, State::Counting(_)) {
            *state = State::Unknown;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn by(number: i64, by: i64) -> TallyChange {
        TallyChange::By { number, by }
    }

    #[test]
    fn what_is_committed_while_it_is_counted_is_counted_once() {
        let tally = Arc::new(Tally::default());
        tally.change(by(1, 1), at(1));
        assert_eq!(tally.up_to(9), None, "nobody has counted");
        let mut count = tally.count().unwrap();
        assert!(tally.count().is_none(), "one is under way");
        tally.change(by(2, 1), at(2));
        tally.change(by(3, 1), at(4));
        count.at(at(3));
        tally.change(by(2, 1), at(2));
        tally.change(by(1, -1), at(5));
        count.add(1);
        count.add(2);
        assert_eq!(tally.up_to(9), None);
        assert!(count.finish());
        assert_eq!(tally.up_to(9), Some(Tallied { count: 2, smallest: Some(2) }));
        assert_eq!(tally.up_to(2), Some(Tallied { count: 1, smallest: Some(2) }));
        assert_eq!(tally.up_to(1), Some(Tallied { count: 0, smallest: None }));
        tally.change(by(2, 1), at(2));
        assert_eq!(tally.up_to(2).unwrap().count, 1, "the count has it");
        tally.change(TallyChange::Something, at(6));
        assert_eq!(tally.up_to(2), None);
    }

    #[test]
    fn what_can_not_be_is_not_believed() {
        let tally = Arc::new(Tally::default());
        let count = tally.count().unwrap();
        count.at(at(1));
        tally.change(TallyChange::Something, at(2));
        assert!(!count.finish());
        let count = tally.count().unwrap();
        count.at(at(1));
        tally.change(by(1, -1), at(2));
        assert!(!count.finish(), "less than none");
        drop(tally.count().unwrap());
        let count = tally.count().unwrap();
        assert!(!count.finish(), "nobody knows of when it was");
        let count = tally.count().unwrap();
        count.at(at(1));
        assert!(count.finish());
        tally.change(by(1, -1), at(2));
        assert_eq!(tally.up_to(1), None);
    }

    proptest! {
        #[test]
        fn it_says_what_a_plain_count_says(
            first in proptest::collection::vec(0..100_i64, 0..150),
            steps in proptest::collection::vec((0..100_i64, any::<bool>(), 0..100_i64), 0..200),
        ) {
            let tally = Arc::new(Tally::default());
            let mut count = tally.count().unwrap();
            count.at(at(1));
            first.iter().for_each(|number| count.add(*number));
            prop_assert!(count.finish());
            let mut all = first;
            all.sort_unstable();
            let mut is_known_below = 100;
            for (number, is_new, asked) in steps {
                if is_new {
                    all.push(number);
                } else if let Some(found) = all.iter().position(|one| *one == number) {
                    all.swap_remove(found);
                } else {
                    continue;
                }
                tally.change(by(number, if is_new { 1 } else { -1 }), at(2));
                let expected = all.iter().filter(|one| **one <= asked).count() as u64;
                match tally.up_to(asked) {
                    Some(tallied) => {
                        prop_assert_eq!(tallied.count, expected);
                        prop_assert_eq!(tallied.smallest, all.iter().min().copied().filter(|least| *least <= asked));
                    }
                    None => is_known_below = is_known_below.min(asked),
                }
            }
            let numbers: std::collections::BTreeSet<_> = all.iter().collect();
            // With so few all are known, unless there were more before.
            prop_assert!(is_known_below == 100 || numbers.len() + 60 > MOST_NUMBERS);
        }
    }
}
