//! Rescheduling.

use chrono::{DateTime, Utc};
use tito_core::event::{DueTime, EventReference, TitoEvent, Topic};
use tito_core::{Result, Transaction};

use crate::again::{self, Again};
use crate::locate::locate;
use crate::place::Old;
use crate::queue::TitoQueue;
use crate::topics::cached_topic;
use crate::unique::UniqueRow;

impl TitoQueue {
    /// Moves an event that has not been done to another time, rounded and bounded as by
    /// [`Publish::at`](crate::Publish::at), in its topic's own queue and in every group's; a past time means at once.
    /// Its failed attempts still count. Returns its new reference, or `None` if it is no longer in any of the queues.
    ///
    /// Its new time decides its place among the events of its entity. If it is being handled, the same applies as for
    /// [`cancel`](TitoQueue::cancel), and it is handed out again at its new time. Costs as much as `cancel`.
    ///
    /// # Errors
    /// [`QueueError::UnknownTopic`](crate::QueueError::UnknownTopic), carried as a [`TitoError::Application`](tito_core::TitoError::Application);
    /// [`TitoError::Malformed`](tito_core::TitoError::Malformed) if what is stored is not an event; those of the engine.
    pub async fn reschedule(
        &self,
        event: &EventReference,
        time: DateTime<Utc>,
        tx: &Transaction,
    ) -> Result<Option<EventReference>> {
        let seconds = time.due_seconds().unwrap_or_default();
        let located = locate(&self.engine, tx, event).await?;
        if located.is_empty() {
            return Ok(None);
        }
        let call = tx.nested();
        let tx = &call;
        let topic = Topic::read(tx, &event.event_type).await?;
        let is_copied = topic.groups.values().any(|group| group.copies_before.is_some());
        let is_waited_for = || located.iter().any(|found| found.blocks_until().is_some());
        if is_copied || is_waited_for() {
            // Whoever copies earlier events into the group may have passed the event's new place, but not yet its old
            // one; workers may block its entity until its old time. The new revision makes both read everything once
            // more.
            Topic::raise_revision(tx, &event.event_type).await?;
        }
        // Never before now, as workers' cursors count on it.
        let timestamp = seconds.max(tx.now().seconds());
        for found in located {
            let stored = TitoEvent::decode(&found.key, &found.value)?;
            let moved = Again::Postponed { to: timestamp }.applied_to(stored);
            again::put(tx, &found.queue, &topic, &moved, Some(Old::row(&found.key, &found.value))).await?;
        }
        call.merge()?;
        Ok(Some(EventReference { timestamp, ..event.clone() }))
    }

    /// Like [`reschedule`](TitoQueue::reschedule), by the key with which a unique event was published. Its window stays
    /// as it is. `None` if there is no such event, its window has ended, or it is done.
    ///
    /// # Errors
    /// Those of [`reschedule`](TitoQueue::reschedule).
    pub async fn reschedule_unique(
        &self,
        topic_name: &str,
        unique_key: &str,
        time: DateTime<Utc>,
        tx: &Transaction,
    ) -> Result<Option<EventReference>> {
        cached_topic(&self.engine, topic_name).await?;
        let Some(row) = UniqueRow::read(tx, topic_name, unique_key).await? else { return Ok(None) };
        let call = tx.nested();
        let Some(event) = self.reschedule(row.event(), time, &call).await? else { return Ok(None) };
        row.moved_to(event.clone()).write(&call, topic_name, unique_key).await?;
        call.merge()?;
        Ok(Some(event))
    }
}
