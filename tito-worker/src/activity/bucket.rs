//! One minute of one queue.

use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fate::Fate;

/// The upper bounds of the ranges that durations are counted in; a last range has none.
pub(crate) const DURATION_BOUNDS: [Duration; 5] = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
];

/// What was done in one minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Bucket {
    pub(crate) published: u64,
    pub(crate) handled: u64,
    pub(crate) failed: u64,
    pub(crate) dead: u64,
    /// Of all handlers that ended, together and the longest.
    pub(crate) micros: u64,
    pub(crate) longest_micros: u64,
    /// How many handlers took how long, by the bounds.
    pub(crate) durations: [u64; DURATION_BOUNDS.len() + 1],
}

impl Bucket {
    pub(super) fn handled(&mut self, fate: Fate, events: u64) {
        match fate {
            Fate::Done | Fate::Advanced | Fate::Rescheduled => self.handled += events,
            Fate::Retried | Fate::Discarded => self.failed += events,
            Fate::Dead => {
                self.failed += events;
                self.dead += events;
            }
            Fate::Malformed => self.dead += events,
            Fate::Moved | Fate::Elsewhere | Fate::Unrecorded | Fate::Released => {}
        }
    }

    pub(super) fn ran(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.micros = self.micros.saturating_add(micros);
        self.longest_micros = self.longest_micros.max(micros);
        self.durations[DURATION_BOUNDS.partition_point(|bound| *bound < duration)] += 1;
    }
}

impl AddAssign<&Bucket> for Bucket {
    fn add_assign(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.published, other.published),
            (&mut self.handled, other.handled),
            (&mut self.failed, other.failed),
            (&mut self.dead, other.dead),
            (&mut self.micros, other.micros),
        ] {
            *own = own.saturating_add(others);
        }
        self.longest_micros = self.longest_micros.max(other.longest_micros);
        for (own, others) in self.durations.iter_mut().zip(other.durations) {
            *own = own.saturating_add(others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_range_that_it_fits_in() {
        let mut bucket = Bucket::default();
        for millis in [0, 10, 11, 1_000, 60_000, 60_001] {
            bucket.ran(Duration::from_millis(millis));
        }
        assert_eq!(bucket.durations, [2, 1, 1, 0, 1, 1]);
        assert_eq!((bucket.micros, bucket.longest_micros), (121_022_000, 60_001_000));
        let mut twice = bucket.clone();
        twice += &bucket;
        assert_eq!((twice.durations, twice.micros), ([4, 2, 2, 0, 2, 2], 242_044_000));
    }
}
