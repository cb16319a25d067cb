//! Times and durations, as people read and type them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// A moment, to the second, in UTC.
pub(crate) fn moment(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A moment of Unix seconds.
pub(crate) fn moment_of_seconds(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).map_or_else(|| format!("second {seconds}"), moment)
}

/// A duration by its two largest units, as `2h 5m`.
pub(crate) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let mut rest = duration.as_secs();
    let mut parts = Vec::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= seconds {
            parts.push(format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    parts.truncate(2);
    parts.join(" ")
}

/// Reads `90s`, `5m`, `2h`, `1d`, `250ms`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let expected = || format!("expected a number and a unit (ms, s, m, h, d), as in 90s or 2h, found {text:?}");
    let number: u64 = text[..end].parse().map_err(|_| expected())?;
    let millis = match &text[end..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(expected()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| format!("{text:?} is too long"))
}

/// Reads a moment: as RFC 3339 has it, a day, or a duration before (`-2h`) or after (`+2h`) now, or `now`.
pub(crate) fn parse_moment(text: &str) -> Result<DateTime<Utc>, String> {
    parse_moment_at(text, Utc::now())
}

fn parse_moment_at(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let too_far = || format!("{text:?} is too far away");
    let away = |text: &str| chrono::Duration::from_std(parse_duration(text)?).map_err(|_| too_far());
    match text {
        "now" => return Ok(now),
        "today" => return Ok(midnight(now)),
        "yesterday" => return Ok(midnight(now - chrono::Duration::days(1))),
        _ => {}
    }
    if let Some(text) = text.strip_prefix('-') {
        return now.checked_sub_signed(away(text)?).ok_or_else(too_far);
    }
    if let Some(text) = text.strip_prefix('+') {
        return now.checked_add_signed(away(text)?).ok_or_else(too_far);
    }
    if let Ok(day) = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text).map(|time| time.with_timezone(&Utc)).map_err(|_| {
        format!("expected a time as 2026-03-01T08:00:00Z, a day, +2h, -2h, now, today or yesterday, found {text:?}")
    })
}

fn midnight(time: DateTime<Utc>) -> DateTime<Utc> {
    time.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        for (text, millis) in [("250ms", 250), ("90s", 90_000), ("2h", 7_200_000), ("1d", 86_400_000)] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), millis, "{text}");
        }
        for text in ["", "5", "s", "5 s", "-5s", "1y", "99999999999999999999d", "18446744073709551615d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(duration(Duration::from_secs(93_784)), "1d 2h");
        assert_eq!(duration(Duration::from_millis(999)), "999ms");
        assert_eq!(duration(Duration::from_secs(61)), "1m 1s");
    }

    #[test]
    fn moments_are_read() {
        let now = DateTime::from_timestamp(1_772_000_000, 0).unwrap();
        for (text, shown) in [
            ("2026-03-01T08:00:00+01:00", "2026-03-01T07:00:00Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("-1d", "2026-02-24T06:13:20Z"),
            ("+1h", "2026-02-25T07:13:20Z"),
            ("now", "2026-02-25T06:13:20Z"),
            ("today", "2026-02-25T00:00:00Z"),
            ("yesterday", "2026-02-24T00:00:00Z"),
        ] {
            assert_eq!(moment(parse_moment_at(text, now).unwrap()), shown, "{text}");
        }
        for text in ["", "1h", "tomorrow", "+", "-999999999999d", "2026-13-01"] {
            assert!(parse_moment_at(text, now).is_err(), "{text}");
        }
    }
}
