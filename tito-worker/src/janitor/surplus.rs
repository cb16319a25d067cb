//! What a queue keeps more of than its number allows: counted, and then deleted, the oldest first.

use std::collections::BTreeMap;
use std::ops::Range;

use tito_core::database::Walk;
use tito_core::event::Topic;

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
        parts: Vec<(Range<i64>, u64)>,
        walk: PastWalk,
    },
}

/// What is to be done next.
pub(super) enum Next {
    /// A page is to be read and counted.
    Count(Walk),
    /// A page of these seconds is to be deleted, of so many rows at the most.
    Delete(PastWalk, Range<i64>, u64),
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

    /// What is to be deleted so that `most` are left: all before a second, and then so many of those in a range.
    fn surplus(&self, most: u64) -> Vec<(Range<i64>, u64)> {
        let mut rest = self.total.saturating_sub(most);
        if rest == 0 {
            return Vec::new();
        }
        for (span, count) in &self.spans {
            if rest < *count {
                let (from, until) = (span << self.width_bits, (span + 1) << self.width_bits);
                let all = (0..from, u64::MAX);
                let some = (from..until.min(keys::MAX_EVENT_SECONDS), rest);
                return if rest == 0 { vec![all] } else { vec![some, all] };
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
                Some((seconds, most)) => Next::Delete(walk.clone(), seconds.clone(), *most),
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

    /// Notes that so many were deleted, and where to go on.
    pub(super) fn deleted(&mut self, count: u64, rest: PastWalk) {
        let State::Deleting { parts, walk } = &mut self.state else { return };
        *walk = rest;
        let is_over = parts.last_mut().is_none_or(|(_, most)| {
            *most = most.saturating_sub(count);
            count == 0 || *most == 0
        });
        if is_over {
            parts.pop();
            *walk = PastWalk::new(self.kind, &self.queue, None);
        }
    }
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
            for (range, most) in counted.surplus(most).into_iter().rev() {
                let mut rest = most;
                kept.retain(|second| {
                    let goes = range.contains(second) && rest > 0;
                    rest -= u64::from(goes);
                    !goes
                });
            }
            prop_assert_eq!(kept.len() as u64, (seconds.len() as u64).min(most));
            let mut newest = seconds;
            newest.sort_unstable_by(|a, b| b.cmp(a));
            newest.truncate(kept.len());
            let spans = |seconds: &[i64]| seconds.iter().map(|second| second >> counted.width_bits).min();
            prop_assert_eq!(spans(&kept), spans(&newest));
        }
    }
}
