//! What happens to events that failed for good.

/// What happens to an event whose last attempt has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exhausted {
    /// It goes to the dead letters, from which it can be redriven.
    #[default]
    DeadLetter,
    /// It is deleted, for events that nobody would look at again. [`Outcome::DeadLetter`](crate::Outcome::DeadLetter)
    /// still goes to the dead letters.
    Discard,
}
