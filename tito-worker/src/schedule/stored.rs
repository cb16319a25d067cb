//! The value under the key of a schedule.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tito_core::row::{self, StoredRow, UnknownMembers};
use tito_core::{BoxError, Result, keeps_unknown_members};

use super::definition::{Checked, MOST_MISSED};
use super::missed::Missed;
use super::recurrence::Recurrence;
use super::timetable::Timetable;
use crate::error::QueueError;
use crate::keys;
use crate::publish::{Owner, Publish};

/// A schedule as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    recurrence: StoredRecurrence,
    pub(super) starts_at: i64,
    #[serde(default)]
    pub(super) missed: Missed,
    /// How many missed firings are published at most, where each of them is.
    #[serde(default = "most_missed", skip_serializing_if = "is_most_missed")]
    pub(super) most_missed: u64,
    #[serde(with = "row::nested")]
    pub(super) event: Template,
    /// The next firing; none if there are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<i64>,
    /// The last firing that was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) paused: bool,
    /// Whether `paused` was set by a restore, and is to be taken away when that is resumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) paused_by_restore: bool,
    /// How many firings were passed over as too many were missed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) passed_over: u64,
    /// How many firings were missed, be they published later or not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) missed_firings: u64,
    /// That an operator has given it another recurrence than the program.
    #[serde(rename = "override", default, skip_serializing_if = "Option::is_none", with = "row::nested")]
    pub(super) overridden: Option<Overridden>,
    #[serde(skip)]
    unknown: UnknownMembers,
}

/// What the program says of a schedule that recurs as an operator has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Overridden {
    declared: StoredRecurrence,
    starts_at: i64,
    /// When the operator said so.
    pub(super) since: i64,
    #[serde(skip)]
    unknown: UnknownMembers,
}

fn most_missed() -> u64 {
    MOST_MISSED
}

fn is_most_missed(most: &u64) -> bool {
    *most == MOST_MISSED
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A [`Recurrence`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredRecurrence {
    Cron(#[serde(with = "row::nested")] Cron),
    Every(#[serde(with = "row::nested")] Every),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cron {
    expression: String,
    time_zone: String,
    #[serde(skip)]
    unknown: UnknownMembers,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Every {
    seconds: u64,
    #[serde(skip)]
    unknown: UnknownMembers,
}

/// What the events of all firings have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Template {
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) entity: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    pub(super) action: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip)]
    unknown: UnknownMembers,
}

keeps_unknown_members!(Stored, Template, Cron, Every, Overridden);

impl StoredRow for Stored {
    const EXPECTED: &'static str = "a schedule in JSON";

    fn check(&self) -> Result<(), BoxError> {
        for firing in [self.next, self.last].into_iter().flatten() {
            if !(0..=keys::MAX_EVENT_SECONDS).contains(&firing) {
                return Err(format!("a firing at {firing}").into());
            }
        }
        Ok(())
    }
}

impl From<&Recurrence> for StoredRecurrence {
    fn from(recurrence: &Recurrence) -> Self {
        let unknown = UnknownMembers::default();
        match recurrence.clone() {
            Recurrence::Cron { expression, time_zone } => Self::Cron(Cron { expression, time_zone, unknown }),
            Recurrence::Every { seconds } => Self::Every(Every { seconds, unknown }),
        }
    }
}

impl From<&StoredRecurrence> for Recurrence {
    fn from(stored: &StoredRecurrence) -> Self {
        match stored {
            StoredRecurrence::Cron(Cron { expression, time_zone, .. }) => {
                Self::Cron { expression: expression.clone(), time_zone: time_zone.clone() }
            }
            StoredRecurrence::Every(Every { seconds, .. }) => Self::Every { seconds: *seconds },
        }
    }
}

impl Template {
    /// What the events of all firings have of one.
    pub(super) fn of(event: Publish) -> Result<Self> {
        let owner = event.owner_text()?;
        let Publish { event_type, entity, action, headers, payload, .. } = event;
        Ok(Self { event_type, entity, owner, action, headers, payload, unknown: UnknownMembers::default() })
    }

    /// The event of one firing.
    pub(super) fn at(&self, schedule: &str, seconds: i64) -> Publish {
        let mut event = Publish::new(&self.event_type, &self.entity).action(&self.action);
        event.headers = self.headers.clone();
        event.payload = self.payload.clone();
        event.owner = self.owner.clone().map_or(Owner::Nobody, Owner::Named);
        event.header("tito-schedule", schedule).header("tito-scheduled-at", seconds.to_string())
    }
}

impl Stored {
    /// A schedule that begins now, be there a firing or not.
    pub(super) fn begin(schedule: &Checked, now: i64) -> Result<Self> {
        let Checked { recurrence, starts_at, missed, most_missed, event, .. } = schedule;
        let mut stored = Self {
            recurrence: recurrence.into(),
            starts_at: starts_at.unwrap_or(now),
            missed: *missed,
            most_missed: *most_missed,
            event: event.clone(),
            next: None,
            last: None,
            paused: false,
            paused_by_restore: false,
            passed_over: 0,
            missed_firings: 0,
            overridden: None,
            unknown: UnknownMembers::default(),
        };
        stored.next = stored.timetable(&schedule.name)?.next_after(now);
        Ok(stored)
    }

    /// Goes on with what is stored of the schedule already.
    pub(super) fn go_on_from(&mut self, known: Self, schedule: &Checked) {
        let is_declared = known.is_declared_by(schedule);
        if let Some(overridden) = known.overridden {
            let (declared, starts_at) = if is_declared {
                (overridden.declared, overridden.starts_at)
            } else {
                (self.recurrence.clone(), self.starts_at)
            };
            self.overridden = Some(Overridden { declared, starts_at, ..overridden });
            (self.starts_at, self.next, self.recurrence) = (known.starts_at, known.next, known.recurrence);
        } else if is_declared {
            // It may have had its last firing, or missed it.
            (self.starts_at, self.next, self.recurrence) = (known.starts_at, known.next, known.recurrence);
        }
        (self.last, self.unknown) = (known.last, known.unknown);
        (self.paused, self.paused_by_restore) = (known.paused, known.paused_by_restore);
        (self.passed_over, self.missed_firings) = (known.passed_over, known.missed_firings);
        self.event.unknown = known.event.unknown;
    }

    pub(super) fn recurrence(&self) -> Recurrence {
        Recurrence::from(&self.recurrence)
    }

    /// As the program says that it recurs, where an operator has said otherwise.
    pub(super) fn declared(&self) -> Option<Recurrence> {
        self.overridden.as_ref().map(|overridden| Recurrence::from(&overridden.declared))
    }

    /// Lets it recur as an operator has it, from now on.
    pub(super) fn recur_by_hand(&mut self, name: &str, recurrence: &Recurrence, now: i64) -> Result<(), QueueError> {
        let (declared, declared_start, unknown) = match self.overridden.take() {
            None => (self.recurrence.clone(), self.starts_at, UnknownMembers::default()),
            Some(overridden) => (overridden.declared, overridden.starts_at, overridden.unknown),
        };
        self.overridden = Some(Overridden { declared, starts_at: declared_start, since: now, unknown });
        (self.recurrence, self.starts_at) = (recurrence.into(), now);
        self.next = self.timetable(name)?.next_after(now);
        self.check_fires(name, now)
    }

    /// Lets it recur as the program says, from now on.
    pub(super) fn recur_as_declared(&mut self, name: &str, now: i64) -> Result<(), QueueError> {
        let Some(overridden) = self.overridden.take() else { return Ok(()) };
        (self.recurrence, self.starts_at) = (overridden.declared, overridden.starts_at);
        self.next = self.timetable(name)?.next_after(now);
        Ok(())
    }

    /// Checks that a schedule which begins now ever fires.
    pub(super) fn check_fires(&self, name: &str, now: i64) -> Result<(), QueueError> {
        if self.next.is_some() {
            return Ok(());
        }
        let reason = format!("{}: expected at least one firing after {now}, there is none", self.recurrence());
        Err(QueueError::InvalidSchedule { name: name.to_string(), reason })
    }

    /// Whether the program said before that it recurs as this schedule does. One that does not say when it starts is
    /// content with any start.
    pub(super) fn is_declared_by(&self, schedule: &Checked) -> bool {
        let starts_at = self.overridden.as_ref().map_or(self.starts_at, |overridden| overridden.starts_at);
        let declared = self.declared().unwrap_or_else(|| self.recurrence());
        declared == schedule.recurrence && schedule.starts_at.is_none_or(|start| start == starts_at)
    }

    pub(super) fn timetable(&self, name: &str) -> Result<Timetable, QueueError> {
        Timetable::new(&self.recurrence(), self.starts_at)
            .map_err(|reason| QueueError::InvalidSchedule { name: name.to_string(), reason })
    }

    /// A firing that comes before the next one, if that was stored before time was set back.
    pub(super) fn sooner(&self, name: &str, now: i64) -> Result<Option<i64>> {
        // A firing by hand, or by other times than the declared ones, can come before the schedule begins.
        let has_begun = self.starts_at <= now || self.last.is_some_and(|last| last >= self.starts_at);
        let Some(next) = self.next.filter(|_| has_begun && !self.paused) else { return Ok(None) };
        Ok(self.timetable(name)?.sooner(next, now))
    }

    /// The next firing, if it is due.
    pub(super) fn due(&self, now: i64) -> Option<i64> {
        self.next.filter(|next| !self.paused && *next <= now)
    }

    /// The name in a key, and the schedule stored under it.
    pub(super) fn read(key: &[u8], bytes: &[u8]) -> Result<(String, Self)> {
        let no_name = || row::malformed(key, Self::EXPECTED, "its key has no name of a schedule");
        Ok((keys::parse_schedule(key).ok_or_else(no_name)?, Self::decode(key, bytes)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use proptest::test_runner::Config;

    use super::*;

    const EXAMPLE: &str = r#"{"recurrence":{"cron":{"expression":"0 3 * * *","time_zone":"Europe/Berlin"}},"starts_at":1700000000,"missed":"all","event":{"type":"report","entity":"system","action":"publish","headers":{"a":"b"},"payload":[1, 2]},"next":1700010000,"last":1699923600,"paused":true}"#;

    #[test]
    fn values_are_read_and_written_again_as_the_page_of_the_format_says() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
        let page = std::fs::read_to_string(page).unwrap();
        let vectors: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("schedule_value ")).collect();
        assert!(vectors.len() >= 2);
        for value in vectors.into_iter().chain([EXAMPLE]) {
            let (name, stored) = Stored::read(b"schedule:nightly", value.as_bytes()).unwrap();
            assert_eq!(name, "nightly");
            assert_eq!(String::from_utf8(stored.encode().unwrap()).unwrap(), value);
            stored.timetable(&name).unwrap();
        }
    }

    #[test]
    fn firings_that_no_event_could_have_are_malformed() {
        for (from, to) in [("1700010000", "-1"), ("1699923600", "10000000000"), ("1700010000", "-9223372036854775808")]
        {
            let error = Stored::decode(b"schedule:nightly", EXAMPLE.replace(from, to).as_bytes()).unwrap_err();
            assert!(matches!(error, tito_core::TitoError::Malformed { .. }), "{error}");
        }
    }

    /// Uses of what could be read.
    fn try_out(bytes: &[u8]) {
        let Ok((name, stored)) = Stored::read(b"schedule:nightly", bytes) else { return };
        stored.encode().unwrap();
        let now = 1_800_000_000;
        if let (Some(due), Ok(timetable)) = (stored.due(now), stored.timetable(&name)) {
            stored.missed.plan(&timetable, due, now, 10, stored.most_missed.min(100));
        }
    }

    proptest! {
        #![proptest_config(Config { cases: 10_000, failure_persistence: None, ..Config::default() })]

        #[test]
        fn no_stored_bytes_are_too_odd(
            at in 0..EXAMPLE.len(),
            removed in 0_usize..20,
            inserted in "([0-9]{0,20}|[-0-9*/,#LW:\"{} a-z]{0,20})",
        ) {
            let mut bytes = EXAMPLE.as_bytes().to_vec();
            bytes.splice(at..(at + removed).min(EXAMPLE.len()), inserted.into_bytes());
            try_out(&bytes);
        }
    }
}
