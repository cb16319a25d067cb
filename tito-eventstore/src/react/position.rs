//! What is stored of a reactor.

use serde::{Deserialize, Serialize};
use tito_core::keeps_unknown_members;
use tito_core::row::{StoredRow, UnknownMembers};

/// How many earlier replays are remembered. What was put into the queue before the oldest of so many, each from behind
/// where the one before it began, counts as the queue's again.
const MOST_REPLAYS: usize = 100;

/// How far a reactor is. `docs/format.md` specifies it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The start of the transaction that created the reactor.
    pub(super) created: u64,
    /// That of the latest one that had it begin anew, or created it.
    pub(super) since: u64,
    /// The sequence after which it began then.
    pub(super) after: u64,
    /// `since` and `after` of the times before that it began anew, from behind where the later ones began: ascending in
    /// both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) replays: Vec<(u64, u64)>,
    /// Every selected event up to this sequence is done or in the queue,
    pub(super) sequence: u64,
    /// but for these, of which a handler may have begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) open: Vec<u64>,
    #[serde(skip)]
    pub(super) unknown: UnknownMembers,
}

keeps_unknown_members!(Position);

impl StoredRow for Position {
    const EXPECTED: &'static str = "the position of a reactor";
}

impl Position {
    /// That of a reactor that begins after a sequence, in the transaction with this start.
    pub(super) fn new(start: u64, after: u64) -> Self {
        Self { created: start, since: start, after, sequence: after, ..Self::default() }
    }

    /// The same reactor when it begins anew.
    pub(super) fn begun_anew(mut self, start: u64, after: u64) -> Self {
        if self.since > self.created {
            self.replays.push((self.since, self.after));
        }
        // What one of these comes to again, so does the present one.
        self.replays.retain(|(_, earlier)| *earlier < after);
        let too_many = self.replays.len().saturating_sub(MOST_REPLAYS);
        self.replays.drain(..too_many);
        Self { since: start, after, sequence: after, open: Vec::new(), ..self }
    }

    /// The position when some events are done or in the queue.
    pub(super) fn passed(&self, sequences: impl Iterator<Item = u64>) -> Position {
        let mut position = self.clone();
        for sequence in sequences {
            position.sequence = position.sequence.max(sequence);
            position.open.retain(|open| *open != sequence);
        }
        position
    }

    /// Whether an event is neither done nor in the queue, if it is selected.
    pub(crate) fn is_open(&self, sequence: u64) -> bool {
        sequence > self.sequence || self.open.contains(&sequence)
    }

    /// Whether an event that was put into the queue under a position is none of the queue's any more: it was under that
    /// of another reactor of the same name, or the reactor has begun anew before it since, and so comes to it again.
    pub(super) fn supersedes(&self, since: u64, sequence: u64) -> bool {
        let present = (self.since, self.after);
        let mut replays = self.replays.iter().chain([&present]);
        since < self.created || replays.any(|(start, after)| since < *start && sequence > *after)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The page is what says how positions are stored.
    #[test]
    fn the_vectors_of_the_page_hold() {
        let page = include_str!("../../../docs/format.md");
        let vectors: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("log_reactor_value ")).collect();
        assert_eq!(vectors.len(), 3);
        for vector in vectors {
            let position = Position::decode(b"key", vector.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(position.encode().unwrap()).unwrap(), vector);
        }
    }

    #[test]
    fn what_was_put_into_the_queue_before_a_replay_is_superseded_behind_its_beginning() {
        let position = Position::new(10, 0).begun_anew(20, 5);
        assert_eq!((position.created, position.since, position.sequence), (10, 20, 5));
        let superseded = |since, sequence| position.supersedes(since, sequence);
        assert_eq!(
            [superseded(10, 5), superseded(10, 6), superseded(20, 6), superseded(9, 1)],
            [false, true, false, true]
        );
    }

    #[test]
    fn every_replay_counts_that_a_later_one_does_not_cover() {
        let position = Position::new(10, 0).begun_anew(20, 5).begun_anew(30, 9);
        assert_eq!(position.replays, [(20, 5)]);
        let superseded = |position: &Position| {
            [(19, 5), (19, 6), (20, 9), (20, 10), (30, 10)]
                .map(|(since, sequence)| position.supersedes(since, sequence))
        };
        assert_eq!(superseded(&position), [false, true, false, true, false]);
        let position = position.begun_anew(40, 5);
        assert_eq!(position.replays, [], "what began from 5 begins from there again");
        assert_eq!(superseded(&position), [false, true, true, true, true]);
        let position = (1..=200).fold(Position::new(1, 0), |position, number| position.begun_anew(number * 10, number));
        assert_eq!((position.replays.len(), position.replays[0]), (MOST_REPLAYS, (1000, 100)));
    }
}
