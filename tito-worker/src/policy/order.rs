//! The order of one entity's events.

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
    /// They wait, through restarts and changes of owner, until the failed one is done or given up. A dead letter that
    /// is redriven comes before all that wait. Other entities go on.
    ///
    /// While a topic's number of partitions is changed, entities that move to another partition wait.
    Strict,
}
