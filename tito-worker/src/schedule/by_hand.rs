//! What an operator does to schedules that a program has put.

use tito_core::event::EventReference;
use tito_core::row::StoredRow;
use tito_core::{Transaction, check_event_type};

use super::recurrence::Recurrence;
use super::stored::Stored;
use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Makes a schedule recur differently from what its program says, from now on and until the override is
    /// [cleared](TitoQueue::clear_schedule_override): programs that put the schedule when they start don't change that,
    /// and what they say is kept next to it ([`ScheduleInfo::overridden`](crate::ScheduleInfo::overridden)). Intervals
    /// are counted from now. Firings that were due and not published are skipped. Returns whether there is such a
    /// schedule.
    ///
    /// To stop it, use [`pause_schedule`](TitoQueue::pause_schedule), which also survives programs that put the
    /// schedule. Programs of earlier releases that put the schedule ignore the override.
    ///
    /// ```
    /// # use tito_core::prelude::*;
    /// # use tito_worker::prelude::*;
    /// # use tito_worker::Recurrence;
    /// # async fn example(queue: TitoQueue) -> Result<(), TitoError> {
    /// let at_four = Recurrence::Cron { expression: "0 4 * * *".to_string(), time_zone: "Europe/Berlin".to_string() };
    /// queue.override_schedule("nightly-report", at_four).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`QueueError::InvalidSchedule`] for a recurrence that can't be used or never fires,
    /// [`TitoError::Malformed`](tito_core::TitoError::Malformed) for a stored value that is not a schedule, and those of the
    /// engine.
    pub async fn override_schedule(&self, name: &str, recurrence: Recurrence) -> Result<bool, QueueError> {
        self.change_schedule(name, |stored, now| stored.recur_by_hand(name, &recurrence, now)).await
    }

    /// Makes a schedule recur as its program says again, with the next firing from now on. Returns whether there is
    /// such a schedule.
    ///
    /// # Errors
    /// Those of [`override_schedule`](TitoQueue::override_schedule).
    pub async fn clear_schedule_override(&self, name: &str) -> Result<bool, QueueError> {
        self.change_schedule(name, |stored, now| stored.recur_as_declared(name, now)).await
    }

    /// Publishes the event of a schedule now, even of a paused one, and returns its reference; `None` if there is no
    /// such schedule. Its header `tito-scheduled-at` is the current second. The next firing stays as it is.
    ///
    /// # Errors
    /// [`TitoError::Malformed`](tito_core::TitoError::Malformed) for a stored value that is not a schedule, and those of the
    /// engine.
    pub async fn fire_now(&self, name: &str) -> Result<Option<EventReference>, QueueError> {
        let key = &keys::schedule(name);
        let fire = |tx: Transaction| async move {
            let Some(bytes) = tx.get(key).await? else { return Ok(None) };
            let mut stored = Stored::decode(key, &bytes)?;
            check_event_type(&stored.event.event_type)?;
            let now = tx.now().seconds();
            let event = self.publish(stored.event.at(name, now), &tx).await?;
            stored.last = Some(now);
            tx.system_keys().put(key.clone(), stored.encode()?).await?;
            Ok(Some(event))
        };
        Ok(self.engine.transaction(fire).await?)
    }
}
