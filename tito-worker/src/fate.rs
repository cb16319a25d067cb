//! What happens to an event that was handed out.

use std::fmt;

/// What happened to an event that was handed out, as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fate {
    /// It is done and deleted.
    Done,
    /// The attempt has failed; the event is tried again later.
    Retried,
    /// It is handed out again at another time, which is not an attempt.
    Rescheduled,
    /// A step of it is done, and it goes on with the next one.
    Advanced,
    /// It failed for good, and was moved to the dead letters.
    Dead,
    /// It failed for good and was deleted, because its subscription says so.
    Discarded,
    /// What was stored was not an event, and is moved to the dead letters. No handler has seen it.
    Malformed,
    /// It was gone when the outcome was to be recorded, or at another step or attempt: another worker had recorded one
    /// first, or it was cancelled.
    Elsewhere,
    /// It was moved to its new partition. No handler has seen it.
    Moved,
    /// Nothing was recorded, and the worker hands it out again: the partition has another owner, the topic was changed,
    /// it has to wait for an earlier event of its entity, or its batch has failed and is handled again one by one.
    Released,
    /// Nothing is known to be recorded: the handler was dropped, or the engine failed, before the worker ended. Unless
    /// the engine recorded the outcome after all, the event is handed out again.
    Unrecorded,
}

impl Fate {
    /// All of them, in their order, with their names.
    pub(crate) const NAMES: [(Self, &str); 11] = [
        (Self::Done, "done"),
        (Self::Retried, "retried"),
        (Self::Rescheduled, "rescheduled"),
        (Self::Advanced, "advanced"),
        (Self::Dead, "dead"),
        (Self::Discarded, "discarded"),
        (Self::Malformed, "malformed"),
        (Self::Elsewhere, "elsewhere"),
        (Self::Moved, "moved"),
        (Self::Released, "released"),
        (Self::Unrecorded, "unrecorded"),
    ];

    /// The name in metrics and spans: the variant's in snake case.
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize].1
    }

    /// Whether the event is stored again, to be handled later.
    pub(crate) fn is_postponed(self) -> bool {
        matches!(self, Self::Retried | Self::Rescheduled | Self::Advanced)
    }
}

/// How many events had which fate.
#[derive(Default)]
pub(crate) struct Fates([u64; Fate::NAMES.len()]);

impl Fates {
    /// One more event had this one.
    pub(crate) fn count(&mut self, fate: Fate) {
        self.0[fate as usize] += 1;
    }

    /// Hands on each fate that an event had, with their number.
    pub(crate) fn each(self, mut of: impl FnMut(Fate, u64)) {
        for ((fate, _), events) in Fate::NAMES.into_iter().zip(self.0).filter(|(_, events)| *events > 0) {
            of(fate, events);
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_every_fate() {
        let guide = include_str!("../../docs/guide/observability.md");
        for (index, (fate, name)) in Fate::NAMES.into_iter().enumerate() {
            assert_eq!((fate as usize, fate.as_str()), (index, name));
            assert_eq!(format!("{fate:?}").to_lowercase(), name.replace('_', ""));
            assert!(guide.contains(&format!("| `{fate}` |")), "{fate} is not in the guide");
        }
    }
}
