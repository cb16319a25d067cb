//! What the derive takes as the time of an event.

use chrono::{DateTime, TimeZone};

/// A time at which an event can be asked to fall due: the value of `at` in `#[tito(event = "...", at = ...)]`.
///
/// ```
/// use chrono::DateTime;
/// use tito_core::event::DueTime;
///
/// assert_eq!(1_700_000_000_i64.due_seconds(), Some(1_700_000_000));
/// assert_eq!(DateTime::from_timestamp(1_700_000_000, 999_999_999).due_seconds(), Some(1_700_000_000));
/// assert_eq!(None::<i64>.due_seconds(), None);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the time of an event",
    label = "expected a `DateTime`, an `i64` of Unix seconds, or an `Option` of one"
)]
pub trait DueTime {
    /// The time in whole Unix seconds, rounded down; `None` if there is to be no event.
    fn due_seconds(&self) -> Option<i64>;
}

/// Unix seconds.
impl DueTime for i64 {
    fn due_seconds(&self) -> Option<i64> {
        Some(*self)
    }
}

impl<Z: TimeZone> DueTime for DateTime<Z> {
    fn due_seconds(&self) -> Option<i64> {
        Some(self.timestamp())
    }
}

/// `None` is no event.
impl<T: DueTime> DueTime for Option<T> {
    fn due_seconds(&self) -> Option<i64> {
        self.as_ref().and_then(T::due_seconds)
    }
}

impl<T: DueTime + ?Sized> DueTime for &T {
    fn due_seconds(&self) -> Option<i64> {
        (**self).due_seconds()
    }
}
