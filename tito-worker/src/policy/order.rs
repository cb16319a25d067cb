//! The order of one entity's events.

use crate::again::Again;

/// What happens to an entity's later events while an earlier one waits for its next attempt.
///
/// Either way the events of one entity are handed out one at a time, ordered by the second in which they fall due and
/// then by their transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// They are handed out; the failed one comes after them.
    #[default]
    Relaxed,
    /// They wait, through restarts and changes of owner, until the failed one is done or dead-lettered. A dead letter that
    /// is redriven comes before all that wait. Other entities go on.
    ///
    /// While a topic's number of partitions is changed, entities that move to another partition wait.
    Strict,
}

/// What the order asks of a worker: the rule itself, which everybody who has a part in it asks for here.
impl Order {
    fn is_strict(self) -> bool {
        self == Self::Strict
    }

    /// How an event is postponed: in its place, so that it stays before the later ones of its entity, or at the second.
    pub(crate) fn postpone(self, to: i64) -> Again {
        if self.is_strict() { Again::PostponedInPlace { until: to } } else { Again::Postponed { to } }
    }

    /// Whether an entity's later events wait until what became of a handled event is recorded.
    pub(crate) fn waits_for_recording(self, is_final: bool) -> bool {
        self.is_strict() && !is_final
    }

    /// Whether an entity's later events wait after one that was recorded, and remains to be handled or not.
    pub(crate) fn waits_after(self, remains: bool) -> bool {
        self.is_strict() && remains
    }

    /// Whether an event that is stored, but not to be handled yet, keeps its place before the later ones of its entity,
    /// and whether an entity that moves to another partition waits until all of it has moved. Otherwise an event that
    /// kept its place while the order was strict is postponed like any other.
    pub(crate) fn keeps_places(self) -> bool {
        self.is_strict()
    }

    /// Whether the order may be another than it was read in, as the topic has been changed since.
    pub(crate) fn is_outdated(self, read_under: u64, revision: impl FnOnce() -> u64) -> bool {
        self.is_strict() && revision() > read_under
    }

    /// Whether a handler's effects must not be committed, as its event was read under another state of the topic: a later
    /// one, or one that is gone.
    pub(crate) fn is_fenced(self, read_under: u64, revision: u64) -> bool {
        self.is_strict() && revision != read_under
    }

    /// Where reading may begin, given where a checkpoint says that nothing lies before. A dead letter that was redriven
    /// can lie there, and must not be overtaken.
    pub(crate) fn begins_at(self, floor: Option<i64>) -> Option<i64> {
        floor.filter(|_| !self.is_strict())
    }

    /// Whether what transactions may have committed behind the cursor since a reading began, of which nobody has told, is
    /// read before what began later is handed out: an earlier event of its entity may be there.
    pub(crate) fn looks_back(self, is_only_writer: bool) -> bool {
        self.is_strict() && !is_only_writer
    }
}
