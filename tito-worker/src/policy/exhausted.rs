//! What becomes of events that failed for good.

/// What becomes of an event whose last attempt has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exhausted {
    /// It goes to the dead letters, from which it can be redriven.
    #[default]
    DeadLetter,
    /// It is deleted, for events that nobody would look at again. [`Outcome::DeadLetter`](crate::Outcome::DeadLetter)
    /// goes to the dead letters all the same.
    Discard,
}
