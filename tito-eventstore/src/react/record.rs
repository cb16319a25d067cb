//! How far a reactor is, recorded, with what of its events goes into the queue.

use std::sync::Arc;

use tito_core::row::StoredRow;
use tito_core::{Transaction, TxOptions};
use tito_worker::feed::{Fed, FeedChecked, FeedEnded, FeedRecorded, FeedWatched};

use super::erased::erasures_of;
use super::feed::Reacting;
use super::position::Position;
use super::reference::{as_stored, reference};
use super::waiting::Place;
use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::keys;

/// An event that goes into the queue.
#[derive(Clone, Debug)]
pub(super) struct ToQueue {
    pub(super) sequence: u64,
    /// None of one that can't be read.
    pub(super) entity: Option<String>,
    pub(super) ended: FeedEnded,
    /// The second before which it must not be put there, to come after those of its entity.
    pub(super) not_before: i64,
}

/// An event that goes into the queue, and who wants to know.
pub(super) struct Queued {
    pub(super) event: ToQueue,
    pub(super) watched: FeedWatched,
}

/// What was recorded.
pub(super) struct Recorded {
    pub(super) position: Position,
    /// As it is stored now.
    pub(super) stored: Vec<u8>,
    /// One for each event that goes into the queue; none of one that is not in the store any more.
    pub(super) queued: Vec<Option<FeedRecorded>>,
    /// Whether the reactor is still this worker's.
    pub(super) is_owned: bool,
    /// In how many transactions something of the store was erased.
    pub(super) erasures: u64,
}

/// What a transaction that records goes by.
pub(super) struct Checked {
    pub(super) feed: FeedChecked,
    /// In how many transactions something of the store was erased.
    pub(super) erasures: u64,
}

impl Recorded {
    /// Where an event waits.
    pub(super) fn place(&self, at: usize) -> Option<Place> {
        self.queued.get(at).and_then(Option::as_ref).and_then(|recorded| recorded.waits_at)
    }
}

impl Reacting {
    /// Records how far the reactor is; none if it is not stored as it was. What plain handlers have done counts whoever
    /// owns the reactor by now, so that nobody has to do it again.
    pub(super) async fn record(
        self: Arc<Self>,
        fed: Fed,
        stored: Arc<[u8]>,
        position: Position,
        events: Arc<[ToQueue]>,
    ) -> Result<Option<Recorded>> {
        let database = self.store.database();
        let run = (&self, &fed, &stored, &position, &events);
        let record = |tx: Transaction| async move {
            let (reacting, fed, stored, position, events) = run;
            let Some(checked) = reacting.check(fed, &tx, stored).await? else { return Ok(None) };
            let queued = reacting.put_all(fed, &tx, &checked, position.since, events).await?;
            let stored = reacting.write(&tx, position).await?;
            let (position, is_owned, erasures) = (position.clone(), checked.feed.is_owned, checked.erasures);
            Ok::<_, EventStoreError>(Some(Recorded { position, stored, queued, is_owned, erasures }))
        };
        database.transaction_with(TxOptions::default(), record).await
    }

    /// What a transaction that records goes by; none if the reactor is not stored as it was.
    pub(super) async fn check(&self, fed: &Fed, tx: &Transaction, stored: &[u8]) -> Result<Option<Checked>> {
        let feed = fed.check(tx, vec![self.key(), keys::log_head(self.store.id())]).await?;
        let [found, head] = [0, 1].map(|at| feed.rows.get(at).and_then(Option::as_deref));
        if found != Some(stored) {
            return Ok(None);
        }
        let erasures = erasures_of(self.store.id(), head)?;
        Ok(Some(Checked { feed, erasures }))
    }

    pub(super) async fn write(&self, tx: &Transaction, position: &Position) -> Result<Vec<u8>> {
        let stored = position.encode()?;
        tx.system_keys().put(self.key(), stored.clone()).await?;
        Ok(stored)
    }

    /// Puts events into the queue, those of one entity in their order.
    pub(super) async fn put_all(
        &self,
        fed: &Fed,
        tx: &Transaction,
        checked: &Checked,
        since: u64,
        events: &[ToQueue],
    ) -> Result<Vec<Option<FeedRecorded>>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let id = self.store.id();
        let keys = events.iter().map(|event| keys::log_event(id, event.sequence)).collect();
        let stored = tx.batch_get(keys).await?;
        let mut queued = Vec::with_capacity(events.len());
        for (to_queue, stored) in events.iter().zip(stored) {
            let event = stored.map(|stored| as_stored(id, to_queue.sequence, stored));
            let is_erased = |event: &Option<Event>| event.as_ref().is_some_and(Event::is_erased);
            let Some(event) = event.filter(|event| !is_erased(event)) else {
                let (store, reactor, sequence) = (self.store.name(), &*self.name, to_queue.sequence);
                let log = || {
                    tracing::warn!(
                        store,
                        reactor,
                        sequence,
                        "an event was dropped or erased before a reactor was done with it"
                    )
                };
                self.store.logger().with(log);
                queued.push(None);
                continue;
            };
            let topic = (&**fed.queue(), checked.feed.topic.revision);
            let event = reference(topic, tx, (to_queue.sequence, since), event.as_ref(), to_queue.not_before)?;
            queued.push(Some(fed.put(tx, &checked.feed.topic, &event, &to_queue.ended).await?));
        }
        Ok(queued)
    }
}
