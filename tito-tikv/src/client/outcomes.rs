//! What became of transactions, as far as it is known for good.
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::protocol::resolve::Status;

/// How many are remembered, as in TiDB's client.
const REMEMBERED: usize = 2_048;

/// The outcomes that are remembered: of others that were asked for, and of the process's own commits.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_start: HashMap<u64, Status>,
    in_order: VecDeque<u64>,
}

impl Outcomes {
    pub(crate) fn get(&self, start: u64) -> Option<Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_start.get(&start).copied()
    }

    /// Remembers an outcome if it stays so.
    pub(crate) fn note(&self, start: u64, status: Status) {
        if !status.is_final() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_start.insert(start, status).is_none() {
            known.in_order.push_back(start);
            if known.in_order.len() > REMEMBERED
                && let Some(oldest) = known.in_order.pop_front()
            {
                known.by_start.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_final_is_not_remembered_and_the_oldest_is_forgotten() {
        let outcomes = Outcomes::default();
        outcomes.note(1, Status::Alive { left_millis: 3 });
        assert_eq!(outcomes.get(1), None);
        for start in 0..=REMEMBERED as u64 {
            outcomes.note(start, Status::Committed(start + 1));
        }
        assert_eq!(outcomes.get(0), None);
        assert_eq!(outcomes.get(1), Some(Status::Committed(2)));
    }
}
