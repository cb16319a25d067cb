//! The seconds at which a schedule fires.

use std::collections::VecDeque;

use chrono::DateTime;
use chrono_tz::Tz;
use croner::Cron;
use tito_core::keys::MAX_EVENT_SECONDS;

use super::recurrence::Recurrence;

/// How many firings of an expression are counted that are passed over: each has to be computed.
const MOST_COUNTED: usize = 10_000;

/// The firings of a schedule, as Unix seconds: none before its start, each later than the one before.
#[derive(Debug)]
pub(super) struct Timetable {
    starts_at: i64,
    times: Times,
}

#[derive(Debug)]
enum Times {
    // Boxed, as a parsed expression takes hundreds of bytes.
    Cron(Box<Cron>, Tz),
    /// Multiples of so many seconds, counted from the start.
    Every(i64),
}

impl Timetable {
    /// The firings from `starts_at`, in Unix seconds. The error says what was expected, with the text at fault.
    pub(super) fn new(recurrence: &Recurrence, starts_at: i64) -> Result<Self, String> {
        if !(0..=MAX_EVENT_SECONDS).contains(&starts_at) {
            return Err(format!("it starts at {starts_at}: expected Unix seconds from 0 to {MAX_EVENT_SECONDS}"));
        }
        let times = match recurrence {
            Recurrence::Cron { expression, time_zone } => {
                let parsed = named(expression).unwrap_or(expression).parse();
                let cron = parsed.map_err(|error| format!("cron expression {expression:?}: {error}"))?;
                let zone = time_zone.parse().map_err(|_| {
                    format!("time zone {time_zone:?}: expected a name of the IANA database, such as \"Europe/Berlin\"")
                })?;
                Times::Cron(Box::new(cron), zone)
            }
            Recurrence::Every { seconds } => match i64::try_from(*seconds) {
                Ok(seconds) if seconds > 0 => Times::Every(seconds),
                _ => return Err(format!("an interval of {seconds} s: expected 1 s to {} s", i64::MAX)),
            },
        };
        Ok(Self { starts_at, times })
    }

    /// The first firing after a second; `None` if there is none that an event's time could hold.
    pub(super) fn next_after(&self, seconds: i64) -> Option<i64> {
        let next = match &self.times {
            Times::Every(_) if seconds < self.starts_at => self.starts_at,
            Times::Every(length) => {
                let passed = (seconds - self.starts_at) / length;
                passed.checked_add(1)?.checked_mul(*length)?.checked_add(self.starts_at)?
            }
            Times::Cron(cron, zone) => {
                let after = seconds.max(self.starts_at - 1);
                let local = DateTime::from_timestamp(after, 0)?.with_timezone(zone);
                let next = cron.find_next_occurrence(&local, false).ok()?.timestamp();
                // So that nothing depends on the parser's arithmetic where clocks are changed.
                Some(next).filter(|next| *next > after)?
            }
        };
        Some(next).filter(|next| *next <= MAX_EVENT_SECONDS)
    }

    /// Of the firings from `first`, which is one, up to `until` the first of the last `most`, and how many come before it,
    /// at least where these are more than [`MOST_COUNTED`]. The first after `until` where `most` is 0.
    pub(super) fn last_of(&self, first: i64, until: i64, most: u64) -> (Option<i64>, u64) {
        if most == 0 {
            let (_, before) = self.last_of(first, until, 1);
            return (self.next_after(until), before + u64::from(first <= until));
        }
        if let Times::Every(length) = &self.times {
            let count = u64::try_from((until - first) / length).map_or(0, |count| count + 1);
            let before = count.saturating_sub(most);
            // No more than there are, so it fits.
            return (Some(first + before as i64 * length), before);
        }
        // From the nearest time before the end, of some, that has as many between them.
        let (mut span, mut begin) = (60_i64, first);
        while until - span > first {
            let mut found = self.next_after(until - span - 1);
            let mut count = 0;
            while let Some(firing) = found.filter(|firing| *firing <= until && count < most) {
                count += 1;
                found = self.next_after(firing);
            }
            if count == most {
                begin = self.next_after(until - span - 1).unwrap_or(first);
                break;
            }
            span = span.saturating_mul(2);
        }
        let counted = std::iter::successors(Some(first), |firing| self.next_after(*firing));
        let mut before = counted.take(MOST_COUNTED).take_while(|firing| *firing < begin).count() as u64;
        let (mut last, mut found) = (VecDeque::new(), Some(begin));
        while let Some(firing) = found.filter(|firing| *firing <= until) {
            last.push_back(firing);
            if last.len() as u64 > most {
                last.pop_front();
                before += 1;
            }
            found = self.next_after(firing);
        }
        (last.front().copied().or(found), before)
    }

    /// The first firing after `now` of a schedule that has begun, if the next one that is stored can't be: no interval is
    /// that long, so the database's time was set back since. What an expression names is a time of the clock, and waits
    /// until that shows it.
    pub(super) fn sooner(&self, next: i64, now: i64) -> Option<i64> {
        match &self.times {
            Times::Every(length) if next - now > *length => Some(now + 1 + (next - now - 1).rem_euclid(*length)),
            _ => None,
        }
    }

    /// The last firing from `first`, which is one, up to `until`.
    pub(super) fn last_until(&self, first: i64, until: i64) -> i64 {
        let is_followed = |second| self.next_after(second).is_some_and(|next| next <= until);
        // The firing after `low` is at or before `until`, that after `high` is not.
        let (mut low, mut high) = (first - 1, until.max(first));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if is_followed(middle) { low = middle } else { high = middle }
        }
        high
    }
}

/// The fields of an expression that is a name which the parser does not know.
fn named(expression: &str) -> Option<&'static str> {
    expression.trim().eq_ignore_ascii_case("@midnight").then_some("0 0 * * *")
}

#[cfg(test)]
mod tests;
