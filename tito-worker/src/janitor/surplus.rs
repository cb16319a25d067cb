//! What a queue keeps more of than its number allows: counted, and then deleted, the oldest first.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tito_core::database::Walk;
use tito_core::event::Topic;
use uuid::Uuid;

use crate::history::PastWalk;
use crate::keys;
use crate::place::Kind;

/// With more dead letters and no limit to them a queue is warned of.
pub(super) const MANY_DEAD: u64 = if cfg!(test) { 20 } else { 10_000 };

/// Of how many spans of time it is known how many rows are in each.
const MOST_SPANS: usize = if cfg!(test) { 8 } else { 4_096 };

/// How much of the dead letters of a queue, or of its history, is to go.
pub(super) struct Surplus {
    kind: Kind,
    queue: String,
    state: State,
}

enum State {
    Counting {
        walk: Walk,
        counted: Counted,
    },
    /// What is older than what is kept, and then some of the oldest seconds of that.
    Deleting {
        parts: Vec<Part>,
        walk: PastWalk,
    },
}

/// Rows that are to go. They are told by where they lie, not by how many they are: others delete too, and what they
/// have deleted is not to be made up for with what is to be kept.
#[derive(Clone, Debug)]
enum Part {
    All(Range<i64>),
    /// So many of some seconds, the first of them; which ones is to be found out. The greatest of those that were found
    /// so far goes first where there are too many.
    First {
        seconds: Range<i64>,
        most: usize,
        found: BTreeSet<Row>,
    },
    /// Those up to and with this one.
    UpTo(Range<i64>, Row),
}

/// A row by its second, its id and its partition.
pub(super) type Row = (i64, Uuid, u16);

/// How many rows of the same span are deleted after one count.
const MOST_FOUND: u64 = if cfg!(test) { 50 } else { 50_000 };

/// What is to be done next.
pub(super) enum Next {
    /// A page is to be read and counted.
    Count(Walk),
    /// A page of these seconds is to be looked at.
    Find(PastWalk, Range<i64>),
    /// A page of these seconds is to be deleted, of the rows up to this one.
    Delete(PastWalk, Range<i64>, Option<Row>),
    Nothing,
}

/// How many rows there are, by their seconds, in spans of equal length.
#[derive(Default)]
struct Counted {
    /// The seconds of a span, as a power of two.
    width_bits: u32,
    /// By the number of the span.
    spans: BTreeMap<i64, u64>,
    total: u64,
}

impl Counted {
    fn add(&mut self, second: i64) {
        *self.spans.entry(second >> self.width_bits).or_default() += 1;
        self.total += 1;
        while self.spans.len() > MOST_SPANS {
            self.width_bits += 1;
            for (span, count) in std::mem::take(&mut self.spans) {
                *self.spans.entry(span >> 1).or_default() += count;
            }
        }
    }

    /// What is to be deleted so that `most` are left: all before a second, and then the first of those in a range. The last
    /// part comes first.
    fn surplus(&self, most: u64) -> Vec<Part> {
        let mut rest = self.total.saturating_sub(most);
        if rest == 0 {
            return Vec::new();
        }
        for (span, count) in &self.spans {
            if rest < *count {
                let (from, until) = (span << self.width_bits, (span + 1) << self.width_bits);
                let seconds = from..until.min(keys::MAX_EVENT_SECONDS + 1);
                let first = Part::First { seconds, most: rest.min(MOST_FOUND) as usize, found: BTreeSet::new() };
                let all = Part::All(0..from);
                return if rest == 0 { vec![all] } else { vec![first, all] };
            }
            rest -= count;
        }
        Vec::new()
    }
}

impl Surplus {
    pub(super) fn new(kind: Kind, queue: &str) -> Self {
        let counting = State::Counting { walk: Walk::over(kind.of_queue(queue)), counted: Counted::default() };
        Self { kind, queue: queue.to_string(), state: counting }
    }

    /// How many of the kind a topic keeps; none for any number.
    pub(super) fn most(&self, topic: &Topic) -> Option<u64> {
        let most = match self.kind {
            Kind::Done => topic.history_events,
            Kind::Dead => topic.dead_letter_events,
            Kind::Pending => 0,
        };
        (most > 0).then_some(most)
    }

    pub(super) fn next(&self) -> Next {
        match &self.state {
            State::Counting { walk, .. } => Next::Count(walk.clone()),
            State::Deleting { parts, walk } => match parts.last() {
                Some(Part::All(seconds)) => Next::Delete(walk.clone(), seconds.clone(), None),
                Some(Part::UpTo(seconds, row)) => Next::Delete(walk.clone(), seconds.clone(), Some(*row)),
                Some(Part::First { seconds, .. }) => Next::Find(walk.clone(), seconds.clone()),
                None => Next::Nothing,
            },
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Counts a page. Once all are counted, or many of a number that is not limited, returns how many there are.
    pub(super) fn count<'a>(
        &mut self,
        page: impl Iterator<Item = &'a [u8]>,
        rest: Walk,
        most: Option<u64>,
    ) -> Option<u64> {
        let State::Counting { walk, counted } = &mut self.state else { return None };
        page.filter_map(keys::parse_event_second).for_each(|second| counted.add(second));
        *walk = rest;
        let is_enough = most.is_none() && counted.total > MANY_DEAD;
        if !walk.is_over() && !is_enough {
            return None;
        }
        let total = counted.total;
        let parts = most.map_or_else(Vec::new, |most| counted.surplus(most));
        self.state = State::Deleting { parts, walk: PastWalk::new(self.kind, &self.queue, None) };
        Some(total)
    }

    /// Takes in a page of what is looked at, an empty one at the end, and where to go on.
    pub(super) fn found<'a>(&mut self, page: impl ExactSizeIterator<Item = &'a [u8]>, rest: PastWalk) {
        let State::Deleting { parts, walk } = &mut self.state else { return };
        let Some(Part::First { seconds, most, found }) = parts.last_mut() else { return };
        *walk = rest;
        let is_over = page.len() == 0;
        for row in page.filter_map(row_of) {
            found.insert(row);
            if found.len() > *most {
                found.pop_last();
            }
        }
        if is_over {
            let up_to = found.last().map(|last| Part::UpTo(seconds.clone(), *last));
            parts.pop();
            parts.extend(up_to);
            *walk = PastWalk::new(self.kind, &self.queue, None);
        }
    }

    /// Notes that a page was deleted as far as it had to, an empty one at the end, and where to go on.
    pub(super) fn deleted(&mut self, is_over: bool, rest: PastWalk) {
        let State::Deleting { parts, walk } = &mut self.state else { return };
        *walk = rest;
        if is_over {
            parts.pop();
            *walk = PastWalk::new(self.kind, &self.queue, None);
        }
    }
}

/// The row of a key.
pub(super) fn row_of(key: &[u8]) -> Option<Row> {
    let (second, id) = keys::parse_event_second_and_id(key)?;
    Some((second, id, keys::parse_event_partition(key)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_is_as_much_as_is_allowed_and_of_the_newest_spans(
            seconds in proptest::collection::vec(0..5_000_i64, 0..200),
            most in 1..100_u64,
        ) {
            let mut counted = Counted::default();
            seconds.iter().for_each(|second| counted.add(*second));
            prop_assert!(counted.spans.len() <= MOST_SPANS);
            let mut kept = seconds.clone();
            kept.sort_unstable();
            let mut short = 0;
            for part in counted.surplus(most).into_iter().rev() {
                let (range, rest) = match part {
                    Part::All(seconds) => (seconds, usize::MAX),
                    Part::First { seconds, most, .. } => (seconds, most),
                    Part::UpTo(..) => unreachable!("nothing was looked at"),
                };
                let before = kept.len();
                let mut rest = rest;
                kept.retain(|second| {
                    let goes = range.contains(second) && rest > 0;
                    rest -= usize::from(goes);
                    !goes
                });
                short = before - kept.len();
            }
            // More of one span go after the next count.
            prop_assume!(short < MOST_FOUND as usize);
            prop_assert_eq!(kept.len() as u64, (seconds.len() as u64).min(most));
            let mut newest = seconds;
            newest.sort_unstable_by(|a, b| b.cmp(a));
            newest.truncate(kept.len());
            let spans = |seconds: &[i64]| seconds.iter().map(|second| second >> counted.width_bits).min();
            prop_assert_eq!(spans(&kept), spans(&newest));
        }
    }
}
