//! Times as users give and get them; what is stored are Unix seconds.

use chrono::{DateTime, Utc};

/// The time of a second, or the first or last that there is.
pub(crate) fn time_of(seconds: i64) -> DateTime<Utc> {
    let bound = if seconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp(seconds, 0).unwrap_or(bound)
}
