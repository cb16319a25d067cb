//! What a program says of a schedule.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tito_core::{Result, check_event_type, check_name};

use super::missed::Missed;
use super::recurrence::Recurrence;
use super::stored::Template;
use super::timetable::Timetable;
use crate::error::QueueError;
use crate::publish::{Due, Publish};
use crate::time::rounded_up;

/// A periodic schedule, for [`TitoQueue::put_schedule`](crate::TitoQueue::put_schedule).
///
/// Nothing of it is checked before it is put.
///
/// ```
/// # use std::time::Duration;
/// # use tito_worker::{Missed, Publish, Schedule};
/// let nightly = Schedule::cron("nightly-report", "0 3 * * *")
///     .time_zone("Europe/Berlin")
///     .publishes(Publish::new("report", "system").action("nightly"))
///     .missed(Missed::Latest);
/// let heartbeat = Schedule::every("heartbeat", Duration::from_secs(30))
///     .publishes(Publish::new("heartbeat", "system"))
///     .missed(Missed::Skip);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Schedule {
    name: String,
    recurs: Recurs,
    starts_at: Option<i64>,
    publishes: Option<Publish>,
    missed: Missed,
    most_missed: u64,
}

/// See [`Schedule::most_missed`].
pub(super) const MOST_MISSED: u64 = 1_000;

#[derive(Clone, Debug)]
enum Recurs {
    Cron { expression: String, time_zone: String },
    Every(Duration),
}

impl Schedule {
    fn new(name: impl Into<String>, recurs: Recurs) -> Self {
        Self {
            name: name.into(),
            recurs,
            starts_at: None,
            publishes: None,
            missed: Missed::default(),
            most_missed: MOST_MISSED,
        }
    }

    /// A schedule that fires at the local times that a cron expression names, in UTC unless
    /// [`time_zone`](Schedule::time_zone) says otherwise.
    ///
    /// The expression has the five fields minute, hour, day of month, month and weekday (0 is Sunday), or six with
    /// seconds in front, or `@hourly`, `@daily` or `@midnight`, `@weekly`, `@monthly`, `@yearly` or `@annually`. Fields can be
    /// lists (`1,15`), ranges (`MON-FRI`) and steps (`*/10`), days of the month `L` for the last one, weekdays `5#2` for the second Friday.
    pub fn cron(name: impl Into<String>, expression: impl Into<String>) -> Self {
        Self::new(name, Recurs::Cron { expression: expression.into(), time_zone: "UTC".to_string() })
    }

    /// A schedule that fires at equal intervals of whole seconds, at least one, counted from its start: firings that
    /// are published late don't move the later ones.
    pub fn every(name: impl Into<String>, interval: Duration) -> Self {
        Self::new(name, Recurs::Every(interval))
    }

    /// The time zone of a cron expression, by its name in the IANA database, such as `Europe/Berlin`. No effect on
    /// intervals.
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        if let Recurs::Cron { time_zone, .. } = &mut self.recurs {
            *time_zone = name.into();
        }
        self
    }

    /// The event that each firing publishes. It is due at once and has two more headers: `tito-schedule` is the
    /// schedule's name, `tito-scheduled-at` the firing's time in Unix seconds. An event with its own time
    /// ([`Publish::delay`], [`Publish::at`]) is refused.
    pub fn publishes(mut self, event: Publish) -> Self {
        self.publishes = Some(event);
        self
    }

    /// What happens to missed firings. Default [`Missed::Latest`].
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// The most missed firings that [`Missed::All`] publishes: the last ones. Otherwise a clock that was set forward
    /// could publish a day's worth of them. The others are skipped, which is logged and counted in
    /// [`ScheduleInfo::passed_over`](super::ScheduleInfo::passed_over). Default 1,000.
    pub fn most_missed(mut self, most: u64) -> Self {
        self.most_missed = most;
        self
    }

    /// When the schedule starts, from 1970 to 2286 and rounded up to whole seconds: intervals are counted from then, and the start
    /// is their first firing; a cron expression has no firing before it. Firings before the schedule was put are not
    /// published. Default: when it is put, so that the first interval passes before the first firing.
    pub fn starts_at(mut self, time: DateTime<Utc>) -> Self {
        self.starts_at = Some(rounded_up(time));
        self
    }

    /// The schedule in the form in which it is stored, if everything about it can be used.
    pub(super) fn check(self) -> Result<Checked, QueueError> {
        let Self { name, recurs, starts_at, publishes, missed, most_missed } = self;
        check_name("schedule", &name)?;
        let invalid = |reason: String| QueueError::InvalidSchedule { name: name.clone(), reason };
        let recurrence = match recurs {
            Recurs::Cron { expression, time_zone } => Recurrence::Cron { expression, time_zone },
            Recurs::Every(interval) if interval.subsec_nanos() == 0 => {
                Recurrence::Every { seconds: interval.as_secs() }
            }
            Recurs::Every(interval) => {
                return Err(invalid(format!("an interval of {interval:?}: expected whole seconds")));
            }
        };
        Timetable::new(&recurrence, starts_at.unwrap_or(0)).map_err(invalid)?;
        let Some(event) = publishes else {
            return Err(invalid("it has no event: expected one from `publishes`".to_string()));
        };
        if !matches!(event.due, Due::After(Duration::ZERO)) {
            return Err(invalid("its event has a time of its own: expected one that is due at once".to_string()));
        }
        check_event_type(&event.event_type)?;
        Ok(Checked { name, recurrence, starts_at, missed, most_missed, event: Template::of(event)? })
    }
}

/// A schedule that can be stored.
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) recurrence: Recurrence,
    pub(super) starts_at: Option<i64>,
    pub(super) missed: Missed,
    pub(super) most_missed: u64,
    pub(super) event: Template,
}
