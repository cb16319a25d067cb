//! What the derive takes as the time of an event.

use chrono::{DateTime, TimeZone};

use crate::keys;

/// A time at which an event can be asked to fall due: the value of `at` in `#[tito(event = "...", at = ...)]`.
///
/// ```
/// use chrono::DateTime;
/// use tito_core::event::DueTime;
///
/// assert_eq!(1_700_000_000_i64.due_seconds(), Some(1_700_000_000));
/// // Never early:
/// assert_eq!(DateTime::from_timestamp(1_700_000_000, 1).due_seconds(), Some(1_700_000_001));
/// // A time before 1970 is past, one after 2286 the last that there is:
/// assert_eq!((-5_i64).due_seconds(), Some(0));
/// assert_eq!(i64::MAX.due_seconds(), Some(9_999_999_999));
/// assert_eq!(None::<i64>.due_seconds(), None);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the time of an event",
    label = "expected a `DateTime`, an `i64` of Unix seconds, or an `Option` of one"
)]
pub trait DueTime {
    /// The time in whole Unix seconds, rounded up and clamped to 0 to 9,999,999,999 (in 2286). `None` if there is to be
    /// no event.
    fn due_seconds(&self) -> Option<i64>;
}

/// Unix seconds.
impl DueTime for i64 {
    fn due_seconds(&self) -> Option<i64> {
        Some(within_bounds(*self))
    }
}

impl<Z: TimeZone> DueTime for DateTime<Z> {
    fn due_seconds(&self) -> Option<i64> {
        // In a leap second there are more than a second's nanoseconds, which is a fraction as well.
        let started = i64::from(self.timestamp_subsec_nanos() > 0);
        Some(within_bounds(self.timestamp().saturating_add(started)))
    }
}

/// The nearest second at which an event can fall due: one before 1970 is past anyway, and one after 2286 has no key.
pub(super) fn within_bounds(seconds: i64) -> i64 {
    seconds.clamp(0, keys::MAX_EVENT_SECONDS)
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

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, Utc};

    use super::*;

    #[test]
    fn times_are_rounded_up_and_kept_within_bounds() {
        let cases = [
            (1_700_000_000, 0, 1_700_000_000),
            (1_700_000_000, 1, 1_700_000_001),
            (1_700_000_000, 999_999_999, 1_700_000_001),
            // A leap second.
            (1_483_228_799, 1_500_000_000, 1_483_228_800),
            (-1, 999_999_999, 0),
            (-2, 0, 0),
            (9_999_999_999, 0, 9_999_999_999),
            (9_999_999_999, 1, 9_999_999_999),
            (10_000_000_000, 0, 9_999_999_999),
        ];
        for (seconds, nanos, due) in cases {
            let time = DateTime::from_timestamp(seconds, nanos);
            assert_eq!(time.due_seconds(), Some(due), "{seconds} {nanos}");
            let elsewhere = FixedOffset::east_opt(-3_600).and_then(|zone| Some(time?.with_timezone(&zone)));
            assert_eq!(elsewhere.due_seconds(), Some(due), "{seconds} {nanos}");
        }
        assert_eq!(DateTime::<Utc>::MIN_UTC.due_seconds(), Some(0));
        assert_eq!(DateTime::<Utc>::MAX_UTC.due_seconds(), Some(9_999_999_999));
        assert_eq!((i64::MIN.due_seconds(), i64::MAX.due_seconds()), (Some(0), Some(9_999_999_999)));
    }
}
