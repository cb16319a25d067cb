//! Other clients' transactions with asynchronous commit: all keys together decide the fate of one.
use std::collections::BTreeSet;

use tito_tikv_proto::kvrpcpb::{CheckSecondaryLocksResponse, LockInfo};

use super::{Call, Resolve, Status, Step, min_commit_ts};
use crate::protocol::unexpected;

impl<R: Clone> Resolve<R> {
    /// The primary is prewritten, and has expired.
    pub(super) fn ask_secondaries(&mut self, primary: LockInfo) {
        self.min_commit_ts = min_commit_ts(&primary);
        let secondaries: BTreeSet<Vec<u8>> = primary.secondaries.into_iter().collect();
        let is_secondary = secondaries.clone();
        self.number_keys(secondaries);
        let numbers: Vec<usize> = (0..self.keys.len()).filter(|key| is_secondary.contains(&self.keys[*key])).collect();
        // Resolve all of its locks, not only those that were met: anyone who reads another one would have to ask all of
        // this again.
        self.prewritten = numbers.iter().copied().chain([self.primary]).collect::<BTreeSet<_>>().into_iter().collect();
        if numbers.is_empty() {
            self.decide(Status::Committed(self.min_commit_ts))
        } else {
            self.ask(Step::Secondaries, numbers, 0)
        }
    }

    pub(super) fn secondaries_answered(&mut self, asked: &[usize], response: CheckSecondaryLocksResponse) {
        if self.status.is_some() || self.force_sync_commit {
            return;
        }
        if let Some(error) = &response.error {
            return self.fail(unexpected("KvCheckSecondaryLocks", error));
        }
        if response.locks.len() < asked.len() {
            // A key is committed, or isn't and never will be. Either decides.
            self.forget_secondaries();
            return self.decide(match response.commit_ts {
                0 => Status::RolledBack,
                commit_ts => Status::Committed(commit_ts),
            });
        }
        if response.locks.iter().any(|lock| !lock.use_async_commit) {
            // It fell back to two phases, and the primary alone decides.
            self.forget_secondaries();
            self.force_sync_commit = true;
            return self.ask(Step::Status, vec![self.primary], 0);
        }
        self.min_commit_ts = response.locks.iter().map(min_commit_ts).fold(self.min_commit_ts, u64::max);
        if self.queue.is_empty() && !self.calls.any(|_| true) {
            self.decide(Status::Committed(self.min_commit_ts));
        }
    }

    fn forget_secondaries(&mut self) {
        self.queue.clear();
        self.calls.retain(|call| match call {
            Call::Locate { step, .. } | Call::Pause { step, .. } => *step != Step::Secondaries,
            Call::Send(batch) => batch.step != Step::Secondaries,
        });
    }
}
