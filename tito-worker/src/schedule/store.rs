//! Schedules are put, listed, paused, resumed and removed.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::engine::KeyValue;
use tito_core::event::note_owner;
use tito_core::row::StoredRow;
use tito_core::{Result, TitoError, Transaction};

use super::definition::Schedule;
use super::missed::Missed;
use super::recurrence::Recurrence;
use super::stored::Stored;
use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;
use crate::time::time_of;

/// What an event has beside what its schedule stores: its id, the times and two headers.
const ROOM_FOR_AN_EVENT: usize = 1024;

/// A schedule, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScheduleInfo {
    /// Its name.
    pub name: String,
    /// How it recurs.
    pub recurrence: Recurrence,
    /// When it starts, or started. See [`Schedule::starts_at`].
    #[serde(with = "chrono::serde::ts_seconds")]
    pub starts_at: DateTime<Utc>,
    /// What happens to missed firings.
    pub missed: Missed,
    /// The type of the events that it publishes.
    pub event_type: String,
    /// What they are about.
    pub entity: String,
    /// Who they belong to, and the schedule with them.
    pub owner: Option<String>,
    /// Their action.
    pub action: String,
    /// The next firing; `None` if there are no more. It is not published while the schedule is paused.
    #[serde(with = "chrono::serde::ts_seconds_option")]
    pub next: Option<DateTime<Utc>>,
    /// The last firing that was published.
    #[serde(with = "chrono::serde::ts_seconds_option")]
    pub last: Option<DateTime<Utc>>,
    /// Whether it is paused.
    pub paused: bool,
    /// How many firings were skipped since it was first put, because more were missed than [`Schedule::most_missed`]. A
    /// long gap of a cron expression counts as 10,000.
    pub passed_over: u64,
    /// How many firings were missed since it was first put, whether published later or not: no worker had published
    /// them within 60 seconds. For a cron expression a long gap counts as 10,000.
    pub missed_firings: u64,
    /// An operator's [override](TitoQueue::override_schedule), if there is one.
    #[serde(rename = "override")]
    pub overridden: Option<ScheduleOverride>,
}

/// An operator's change of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScheduleOverride {
    /// How it recurs according to the program.
    pub declared: Recurrence,
    /// When the operator changed it.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub since: DateTime<Utc>,
}

impl ScheduleInfo {
    fn of(name: String, stored: Stored) -> Self {
        let overridden = stored.declared().zip(stored.overridden.as_ref());
        Self {
            name,
            overridden: overridden
                .map(|(declared, overridden)| ScheduleOverride { declared, since: time_of(overridden.since) }),
            recurrence: stored.recurrence(),
            starts_at: time_of(stored.starts_at),
            missed: stored.missed,
            event_type: stored.event.event_type,
            entity: stored.event.entity,
            owner: stored.event.owner,
            action: stored.event.action,
            next: stored.next.map(time_of),
            last: stored.last.map(time_of),
            paused: stored.paused,
            passed_over: stored.passed_over,
            missed_firings: stored.missed_firings,
        }
    }
}

/// To whom a stored schedule belongs.
pub(crate) fn owner_of_schedule(key: &[u8], bytes: &[u8]) -> Result<Option<String>> {
    Ok(Stored::decode(key, bytes)?.event.owner)
}

impl TitoQueue {
    /// Creates a schedule, or replaces the one with this name, and returns what is stored. Programs can put their
    /// schedules at every start: if the recurrence is unchanged, the next firing stays as it was, so that firings
    /// missed meanwhile are not forgotten. A paused schedule stays paused, and one with an
    /// [override](TitoQueue::override_schedule) recurs as the override says.
    ///
    /// Workers in other processes see it within a second.
    ///
    /// # Errors
    /// [`QueueError::InvalidSchedule`] for an expression, a time zone, an interval, a start or an event that can't be used,
    /// and for a new recurrence that never fires; [`TitoError::InvalidName`] for its name or its event's type;
    /// [`TitoError::LimitExceeded`] for an event that is too large; and those of the engine.
    pub async fn put_schedule(&self, schedule: Schedule) -> Result<ScheduleInfo, QueueError> {
        let schedule = &schedule.check()?;
        let limit = self.engine.limits().value_bytes / 16 * 15;
        let stored = self.engine.transaction(|tx| async move {
            let key = keys::schedule(&schedule.name);
            let before = tx.get(&key).await?;
            let now = tx.now().seconds();
            let mut stored = Stored::begin(schedule, now)?;
            // One that can't be read is replaced as a whole.
            let known = before.as_ref().and_then(|before| Stored::decode(&key, before).ok());
            if !known.as_ref().is_some_and(|known| known.is_declared_by(schedule)) {
                stored.check_fires(&schedule.name, now)?;
            }
            if let Some(known) = known {
                stored.go_on_from(known, schedule);
            }
            let value = stored.encode()?;
            let (size, limit) = (value.len(), limit.saturating_sub(ROOM_FOR_AN_EVENT));
            if size > limit {
                return Err(TitoError::LimitExceeded { what: "a schedule in bytes", size, limit, key: key.into() });
            }
            // Left alone where nothing changes, so that it does not meet the firing of a worker.
            if before.is_none_or(|before| before != value) {
                if let Some(owner) = &stored.event.owner {
                    note_owner(&tx, owner, &key).await?;
                }
                tx.system_keys().put(key, value).await?;
            }
            Ok(stored)
        });
        Ok(ScheduleInfo::of(schedule.name.clone(), stored.await?))
    }

    /// All schedules, by name. A schedule whose row can't be read is left out, and logged with its key: remove it or
    /// put it again.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn schedules(&self) -> Result<Vec<ScheduleInfo>, QueueError> {
        self.page_of_schedules(usize::MAX, None).await
    }

    /// Up to `limit` [schedules](TitoQueue::schedules), after the one named `after`; fewer if there are no more. Reads
    /// no others.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn page_of_schedules(&self, limit: usize, after: Option<&str>) -> Result<Vec<ScheduleInfo>, QueueError> {
        let all = keys::schedules();
        let range = after.map_or(all.clone(), |name| all.after(&keys::schedule(name)));
        let read = |(key, bytes): &KeyValue, _| match Stored::read(key, bytes) {
            Ok((name, stored)) => Some(ScheduleInfo::of(name, stored)),
            Err(error) => {
                self.engine.log_damaged(&error, "a schedule can't be read and is left out");
                None
            }
        };
        Ok(self.first_of(range, limit, read).await?)
    }

    /// Whether there is a schedule of this name, even one whose row can't be read.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn has_schedule(&self, name: &str) -> Result<bool, QueueError> {
        let key = &keys::schedule(name);
        Ok(self.engine.transaction(|tx| async move { tx.get(key).await }).await?.is_some())
    }

    /// Pauses a schedule: nothing is published until it is resumed. Returns whether there is such a schedule.
    ///
    /// # Errors
    /// [`TitoError::Malformed`] for a stored value that is not a schedule, and those of the engine.
    pub async fn pause_schedule(&self, name: &str) -> Result<bool, QueueError> {
        self.change_schedule(name, |stored, _| {
            (stored.paused, stored.paused_by_restore) = (true, false);
            Ok(())
        })
        .await
    }

    /// Resumes a paused schedule with its next firing from now on; firings during the pause are skipped, whatever its
    /// policy for missed ones. Returns whether there is such a schedule.
    ///
    /// # Errors
    /// [`QueueError::InvalidSchedule`], [`TitoError::Malformed`] for a stored value that is not a schedule, and those of
    /// the engine.
    pub async fn resume_schedule(&self, name: &str) -> Result<bool, QueueError> {
        self.change_schedule(name, |stored, now| {
            stored.paused_by_restore = false;
            if std::mem::take(&mut stored.paused) && stored.next.is_some_and(|next| next <= now) {
                stored.next = stored.timetable(name)?.next_after(now);
            }
            Ok(())
        })
        .await
    }

    /// Removes a schedule, even one whose stored value can't be read. Events that it has published stay. Returns
    /// whether there was such a schedule.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn remove_schedule(&self, name: &str) -> Result<bool, QueueError> {
        let key = &keys::schedule(name);
        let remove = |tx: Transaction| async move {
            let exists = tx.get(key).await?.is_some();
            if exists {
                tx.system_keys().delete(key.clone()).await?;
            }
            Ok(exists)
        };
        Ok(self.engine.transaction(remove).await?)
    }

    pub(super) async fn change_schedule(
        &self,
        name: &str,
        change: impl Fn(&mut Stored, i64) -> Result<(), QueueError> + Send + Sync,
    ) -> Result<bool, QueueError> {
        let (key, change) = (&keys::schedule(name), &change);
        let apply = |tx: Transaction| async move {
            let Some(bytes) = tx.get(key).await? else { return Ok(false) };
            let mut stored = Stored::decode(key, &bytes)?;
            change(&mut stored, tx.now().seconds())?;
            tx.system_keys().put(key.clone(), stored.encode()?).await?;
            Ok(true)
        };
        Ok(self.engine.transaction(apply).await?)
    }
}

/// The value of a schedule that goes on if a restore has paused it: it has missed the firings since the backup, and makes up
/// for them as it says.
pub(crate) fn resumed_from_restore(key: &[u8], value: &[u8]) -> tito_core::Result<Option<Vec<u8>>> {
    let (_, mut stored) = Stored::read(key, value)?;
    if !std::mem::take(&mut stored.paused_by_restore) {
        return Ok(None);
    }
    stored.paused = false;
    stored.encode().map(Some)
}
