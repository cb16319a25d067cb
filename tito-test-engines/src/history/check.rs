//! The checker.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tito_core::Timestamp;

use super::{Key, Record, Step, Value};

/// An answer that no engine under snapshot isolation can give. Transactions are identified by their index in the
/// history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A read did not return the latest commit before its transaction's start, overlaid with its own writes.
    WrongRead {
        /// The reading transaction.
        transaction: usize,
        /// The index of the read among its steps.
        step: usize,
        /// What should have been read, as entries.
        expected: Vec<(Key, Value)>,
        /// What was read.
        found: Vec<(Key, Value)>,
    },
    /// Two committed transactions that overlapped in time wrote or locked the same key.
    LostUpdate {
        /// The one that committed first.
        first: usize,
        /// The one that should have been refused.
        second: usize,
        /// A key that both wrote or locked.
        key: Key,
    },
    /// A transaction began after a commit had returned, but doesn't see it.
    MissedCommit {
        /// The transaction.
        transaction: usize,
        /// The commit.
        commit: Timestamp,
    },
    /// A writing transaction was committed before it began.
    CommitBeforeStart {
        /// The transaction.
        transaction: usize,
    },
    /// Two transactions began or committed at the same timestamp.
    SharedTimestamp {
        /// The timestamp.
        timestamp: Timestamp,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongRead { transaction, step, expected, found } => {
                write!(f, "step {step} of transaction {transaction} read {found:?} instead of {expected:?}")
            }
            Self::LostUpdate { first, second, key } => {
                write!(f, "transactions {first} and {second} overlap, and both were committed with key {key}")
            }
            Self::MissedCommit { transaction, commit } => {
                write!(
                    f,
                    "transaction {transaction} began after the commit at {commit} had returned, with a start before it"
                )
            }
            Self::CommitBeforeStart { transaction } => {
                write!(f, "transaction {transaction} was committed before it began")
            }
            Self::SharedTimestamp { timestamp } => write!(f, "{timestamp} was handed out twice"),
        }
    }
}

impl std::error::Error for Violation {}

/// Checks a history for snapshot isolation, assuming that a commit at C is visible to exactly the transactions that
/// start after C.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check(history: &[Record]) -> Result<(), Violation> {
    check_timestamps(history)?;
    check_writes(history)?;
    let versions = Versions::of(history);
    for (transaction, record) in history.iter().enumerate() {
        check_reads(transaction, record, &versions)?;
    }
    Ok(())
}

/// The keys that a transaction wrote or locked.
fn claimed(record: &Record) -> BTreeSet<Key> {
    let key = |step: &Step| match *step {
        Step::Put(key, _) | Step::Delete(key) | Step::Lock(key) => Some(key),
        Step::Get(..) | Step::Scan { .. } => None,
    };
    record.steps.iter().filter_map(key).collect()
}

fn check_timestamps(history: &[Record]) -> Result<(), Violation> {
    let mut handed_out = BTreeSet::new();
    for (transaction, record) in history.iter().enumerate() {
        if record.start <= record.began_after {
            return Err(Violation::MissedCommit { transaction, commit: record.began_after });
        }
        // The commit timestamp of a transaction without writes means nothing.
        let commit = record.commit.filter(|_| !claimed(record).is_empty());
        if commit.is_some_and(|commit| commit <= record.start) {
            return Err(Violation::CommitBeforeStart { transaction });
        }
        for timestamp in [Some(record.start), commit].into_iter().flatten() {
            if !handed_out.insert(timestamp) {
                return Err(Violation::SharedTimestamp { timestamp });
            }
        }
    }
    Ok(())
}

fn check_writes(history: &[Record]) -> Result<(), Violation> {
    let committed = |(index, record): (usize, &Record)| Some((index, record.start, record.commit?, claimed(record)));
    let mut writers: Vec<_> = history.iter().enumerate().filter_map(committed).collect();
    writers.sort_by_key(|&(_, _, commit, _)| commit);
    for (place, (second, start, _, keys)) in writers.iter().enumerate() {
        for (first, _, commit, others) in &writers[..place] {
            if commit > start
                && let Some(&key) = keys.intersection(others).next()
            {
                return Err(Violation::LostUpdate { first: *first, second: *second, key });
            }
        }
    }
    Ok(())
}

/// Every committed value of every key, by commit timestamp.
struct Versions(BTreeMap<Key, BTreeMap<Timestamp, Option<Value>>>);

impl Versions {
    fn of(history: &[Record]) -> Self {
        let mut versions = BTreeMap::<Key, BTreeMap<Timestamp, Option<Value>>>::new();
        for record in history {
            let Some(commit) = record.commit else { continue };
            for step in &record.steps {
                // The last of several writes to a key counts.
                match *step {
                    Step::Put(key, value) => versions.entry(key).or_default().insert(commit, Some(value)),
                    Step::Delete(key) => versions.entry(key).or_default().insert(commit, None),
                    Step::Get(..) | Step::Scan { .. } | Step::Lock(_) => continue,
                };
            }
        }
        Self(versions)
    }

    /// The state that a transaction starting at `start` sees.
    fn at(&self, start: Timestamp) -> BTreeMap<Key, Value> {
        let latest = |versions: &BTreeMap<Timestamp, Option<Value>>| *versions.range(..start).next_back()?.1;
        self.0.iter().filter_map(|(&key, versions)| Some((key, latest(versions)?))).collect()
    }
}

fn check_reads(transaction: usize, record: &Record, versions: &Versions) -> Result<(), Violation> {
    let mut state = versions.at(record.start);
    for (step, done) in record.steps.iter().enumerate() {
        let (expected, found) = match done {
            Step::Put(key, value) => {
                state.insert(*key, *value);
                continue;
            }
            Step::Delete(key) => {
                state.remove(key);
                continue;
            }
            Step::Lock(_) => continue,
            Step::Get(key, found) => {
                let entry = |value: &Value| (*key, *value);
                (state.get(key).map(entry).into_iter().collect(), found.as_ref().map(entry).into_iter().collect())
            }
            Step::Scan { start, end, limit, reverse, found } => {
                let entries =
                    state.iter().filter(|(key, _)| (start..end).contains(key)).map(|(&key, &value)| (key, value));
                let expected: Vec<_> =
                    if *reverse { entries.rev().take(*limit).collect() } else { entries.take(*limit).collect() };
                (expected, found.clone())
            }
        };
        if expected != found {
            return Err(Violation::WrongRead { transaction, step, expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;

    const KEY: Key = 1;

    fn timestamp(raw: u64) -> Timestamp {
        Timestamp::from_raw(raw)
    }

    fn record(start: u64, commit: Option<u64>, steps: Vec<Step>) -> Record {
        Record { start: timestamp(start), began_after: Timestamp::ZERO, steps, commit: commit.map(timestamp) }
    }

    fn scan(reverse: bool, limit: usize, found: &[(Key, Value)]) -> Step {
        Step::Scan { start: 0, end: 9, limit, reverse, found: found.to_vec() }
    }

    #[track_caller]
    fn assert_wrong_read(history: &[Record], at: (usize, usize)) {
        match check(history) {
            Err(Violation::WrongRead { transaction, step, .. }) => assert_eq!((transaction, step), at),
            other => panic!("expected a wrong read, found {other:?}"),
        }
    }

    #[test]
    fn a_good_history_passes() {
        let history = [
            record(1, Some(2), vec![Step::Put(KEY, 10), Step::Put(2, 20)]),
            record(3, Some(6), vec![Step::Get(KEY, Some(10)), Step::Put(KEY, 11), Step::Get(KEY, Some(11))]),
            // Overlaps with the previous one, and sees nothing of it.
            record(
                4,
                Some(7),
                vec![scan(false, 9, &[(KEY, 10), (2, 20)]), Step::Put(2, 21), scan(true, 1, &[(2, 21)])],
            ),
            record(5, None, vec![Step::Put(KEY, 12), Step::Delete(2), scan(false, 9, &[(KEY, 12)])]),
            record(8, Some(9), vec![scan(true, 9, &[(2, 21), (KEY, 11)]), Step::Lock(KEY), Step::Delete(KEY)]),
            record(10, None, vec![Step::Get(KEY, None), scan(false, 9, &[(2, 21)])]),
        ];
        assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn a_lost_update_is_found() {
        let history = [
            record(1, Some(2), vec![Step::Put(KEY, 10)]),
            record(3, Some(6), vec![Step::Get(KEY, Some(10)), Step::Put(KEY, 11)]),
            record(4, Some(5), vec![Step::Get(KEY, Some(10)), Step::Put(KEY, 12)]),
        ];
        assert_eq!(check(&history), Err(Violation::LostUpdate { first: 2, second: 1, key: KEY }));
    }

    #[test]
    fn a_lock_that_was_passed_over_is_found() {
        let history = [record(1, Some(4), vec![Step::Lock(KEY)]), record(2, Some(3), vec![Step::Put(KEY, 10)])];
        assert_eq!(check(&history), Err(Violation::LostUpdate { first: 1, second: 0, key: KEY }));
    }

    #[test]
    fn a_read_of_a_write_that_was_never_committed_is_found() {
        let history = [record(1, None, vec![Step::Put(KEY, 10)]), record(2, None, vec![Step::Get(KEY, Some(10))])];
        assert_wrong_read(&history, (1, 0));
    }

    #[test]
    fn a_read_that_does_not_repeat_is_found() {
        let history = [
            record(1, Some(2), vec![Step::Put(KEY, 10)]),
            record(3, None, vec![Step::Get(KEY, Some(10)), Step::Get(KEY, Some(11))]),
            record(4, Some(5), vec![Step::Put(KEY, 11)]),
        ];
        assert_wrong_read(&history, (1, 1));
    }

    #[test]
    fn a_read_that_misses_a_commit_before_its_start_is_found() {
        let history = [
            record(1, Some(2), vec![Step::Put(KEY, 10)]),
            record(3, Some(4), vec![Step::Put(KEY, 11)]),
            record(5, None, vec![Step::Get(KEY, Some(10))]),
        ];
        assert_wrong_read(&history, (2, 0));
    }

    #[test]
    fn a_start_before_a_commit_that_had_returned_is_found() {
        let mut late = record(1, None, vec![Step::Get(KEY, None)]);
        late.began_after = timestamp(3);
        let history = [record(2, Some(3), vec![Step::Put(KEY, 10)]), late];
        assert_eq!(check(&history), Err(Violation::MissedCommit { transaction: 1, commit: timestamp(3) }));
    }

    #[test]
    fn a_transaction_that_does_not_see_its_own_write_is_found() {
        assert_wrong_read(&[record(1, None, vec![Step::Put(KEY, 10), scan(false, 9, &[])])], (0, 1));
        assert_wrong_read(
            &[record(1, None, vec![Step::Put(KEY, 10), Step::Delete(KEY), Step::Get(KEY, Some(10))])],
            (0, 2),
        );
    }

    #[test]
    fn a_scan_with_a_key_too_few_or_in_the_wrong_order_is_found() {
        let first = record(1, Some(2), vec![Step::Put(1, 10), Step::Put(2, 20), Step::Put(3, 30)]);
        let with = |step| [first.clone(), record(3, None, vec![step])];
        assert_wrong_read(&with(scan(false, 2, &[(1, 10)])), (1, 0));
        assert_wrong_read(&with(scan(true, 2, &[(2, 20), (3, 30)])), (1, 0));
        assert_wrong_read(&with(scan(false, 2, &[(1, 10), (2, 20), (3, 30)])), (1, 0));
    }

    #[test]
    fn half_of_a_transaction_is_found() {
        let history = [
            record(1, Some(2), vec![Step::Put(1, 10), Step::Put(2, 20)]),
            record(3, None, vec![Step::Get(1, Some(10)), Step::Get(2, None)]),
        ];
        assert_wrong_read(&history, (1, 1));
    }

    #[test]
    fn wrong_timestamps_are_found() {
        let write = || vec![Step::Put(KEY, 10)];
        assert_eq!(check(&[record(5, Some(4), write())]), Err(Violation::CommitBeforeStart { transaction: 0 }));
        let shared = [record(1, Some(3), write()), record(3, None, vec![])];
        assert_eq!(check(&shared), Err(Violation::SharedTimestamp { timestamp: timestamp(3) }));
    }
}
