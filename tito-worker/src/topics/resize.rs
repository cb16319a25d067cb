//! Changes the number of a topic's partitions while it is in service.
//!
//! The topic says from which number it changes until all is moved, and workers serve the partitions of both. Once the
//! change is settled, nobody publishes by the old number any more, and what is put off goes to its new partition: so
//! whatever still lies in a wrong one was there before, and one walk over all of it finds it. An event is moved by
//! deleting its key and writing another, which conflicts with its acknowledgement: one of both happens first.

use std::ops::AddAssign;
use std::sync::Arc;

use serde::Serialize;
use tito_core::engine::KeyValue;
use tito_core::event::{TitoEvent, Topic, event_id, settle_topics};
use tito_core::{Database, Result, TitoError, Transaction, keys};

use super::read_topic;
use crate::again;
use crate::batches::in_batches;
use crate::queue::TitoQueue;

/// What a change of the number of partitions did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Resized {
    /// Events, dead letters and kept events that went to other partitions.
    pub moved: u64,
    /// Entries of partitions that no longer exist whose bytes are no events; they went to the dead letters.
    pub malformed: u64,
}

impl AddAssign for Resized {
    fn add_assign(&mut self, other: Self) {
        self.moved += other.moved;
        self.malformed += other.malformed;
    }
}

impl TitoQueue {
    /// Changes the number of partitions of a topic and of its groups, from 1 to 9,999, while events are published and
    /// handled. Events whose entities now belong to another partition are moved there, with their ids and times, in
    /// transactions of at most 200 each; those of partitions that vanish take their dead letters and history along.
    /// Waits first, as [`add_group`](TitoQueue::add_group) does, until everybody publishes by the new number.
    ///
    /// A call that was interrupted is finished by calling again with the same number, by anybody, also several at once;
    /// until then the topic stays in service. A topic that does not exist is created with this number.
    ///
    /// # Errors
    /// [`TitoError::ResizeUnderWay`] if a change to another number is not finished, [`TitoError::InvalidName`],
    /// [`TitoError::OutOfRange`] for a number out of 1 to 9,999, and those of the engine: call again to finish.
    pub async fn resize_topic(&self, event_type: &str, partitions: u16) -> Result<Resized> {
        Topic::ensure(&self.engine, event_type, partitions).await?;
        let name = event_type.to_string();
        let topic = Topic::change(&self.engine, event_type, |mut topic, _| async move {
            match topic.resized_from {
                Some(from) if topic.partitions != partitions => {
                    Err(TitoError::ResizeUnderWay { topic: name, from, to: topic.partitions, asked: partitions })
                }
                Some(_) => Ok(None),
                None if topic.partitions == partitions => Ok(None),
                None => {
                    topic.resized_from = Some(topic.partitions);
                    topic.resizes += 1;
                    topic.partitions = partitions;
                    Ok(Some(topic))
                }
            }
        })
        .await?;
        self.move_events(event_type, &topic).await
    }

    /// Finishes the change of the number of partitions that is under way, if one is.
    pub(super) async fn finish_resize(&self, event_type: &str) -> Result<Resized> {
        let topic = read_topic(&self.engine, event_type).await?;
        self.move_events(event_type, &topic).await
    }

    async fn move_events(&self, event_type: &str, topic: &Topic) -> Result<Resized> {
        if topic.resized_from.is_none() {
            return Ok(Resized::default());
        }
        settle_topics(&self.engine).await?;
        let (partitions, resize) = (topic.partitions, topic.resizes);
        let mut resized = Resized::default();
        // Groups that were added since are published to by the new number.
        for queue in topic.queues(event_type) {
            let mover = Arc::new(Mover { event_type: event_type.to_string(), queue: queue.into(), partitions, resize });
            for partition in 0..topic.served_partitions() {
                resized += mover.clone().empty(&self.engine, partition).await?;
            }
        }
        Topic::change(&self.engine, event_type, |mut topic, _| async move {
            let is_under_way = topic.resizes == resize && topic.resized_from.take().is_some();
            Ok(is_under_way.then_some(topic))
        })
        .await?;
        Ok(resized)
    }
}

/// Moves what lies in wrong partitions of one queue.
struct Mover {
    event_type: String,
    queue: Arc<str>,
    /// The new number.
    partitions: u16,
    /// Which change this is.
    resize: u64,
}

impl Mover {
    async fn empty(self: Arc<Self>, engine: &Database, partition: u16) -> Result<Resized> {
        let queue = &self.queue;
        let mut ranges = vec![keys::events_of_partition(queue, partition)];
        if partition >= self.partitions {
            // After the events, from which these come.
            ranges.push(keys::dead_events_of_partition(queue, partition));
            ranges.push(keys::done_events_of_partition(queue, partition));
        }
        let mut resized = Resized::default();
        for range in ranges {
            let mover = self.clone();
            let step = move |tx: Transaction, page| {
                let mover = mover.clone();
                async move { mover.move_page(&tx, partition, page).await }
            };
            resized += in_batches(engine, range, step).await?;
        }
        Ok(resized)
    }

    async fn move_page(&self, tx: &Transaction, from: u16, page: Vec<KeyValue>) -> Result<Resized> {
        let topic = Topic::read(tx, &self.event_type).await?;
        // Another call may have finished this change, and a third begun the next.
        if topic.resized_from.is_none() || topic.resizes != self.resize {
            return Ok(Resized::default());
        }
        let mut moved = Resized::default();
        for entry in page {
            moved += self.move_entry(tx, from, entry).await?;
        }
        Ok(moved)
    }

    async fn move_entry(&self, tx: &Transaction, from: u16, (key, value): KeyValue) -> Result<Resized> {
        let is_event = key.starts_with(b"event:");
        let place = keys::parse_event(&key);
        let Some((event, place)) = TitoEvent::decode(&key, &value).ok().zip(place.clone()) else {
            if from < self.partitions {
                // Its worker sets it aside.
                return Ok(Resized::default());
            }
            let id = place.map(|place| place.id);
            let now = tx.start_timestamp();
            let id = id.unwrap_or_else(|| event_id(now, tx.next_event_number(), fastrand::u64(..)));
            tx.delete(key).await?;
            tx.put(keys::dead_event(&self.queue, from % self.partitions, now.seconds(), id), value).await?;
            return Ok(Resized { moved: 0, malformed: 1 });
        };
        let to = keys::partition_of(&event.entity, self.partitions);
        if to == from {
            return Ok(Resized::default());
        }
        let build = match &key {
            _ if is_event => keys::event,
            key if key.starts_with(b"dead:") => keys::dead_event,
            _ => keys::done_event,
        };
        let moved = build(&self.queue, to, place.seconds, place.id);
        tx.delete(key).await?;
        if is_event {
            again::put_as_it_is(tx, &self.queue, to, moved, value).await?;
        } else {
            tx.put(moved, value).await?;
        }
        Ok(Resized { moved: 1, malformed: 0 })
    }
}
