//! Changes the number of a topic's partitions while it is in service.
//!
//! The topic says from which number it changes until all is moved, and workers serve the partitions of both. Once the
//! change is settled, nobody publishes by the old number any more, and what is postponed goes to its new partition: so
//! whatever still lies in a wrong one was there before, and one walk over all of it finds it. An event is moved by
//! deleting its key and writing another, which conflicts with its acknowledgement: one of both happens first.

use std::ops::AddAssign;
use std::sync::Arc;

use serde::Serialize;
use tito_core::database::walk_in_steps;
use tito_core::engine::KeyValue;
use tito_core::event::{TitoEvent, Topic, settle_topics};
use tito_core::{Database, Result, Transaction};

use super::existing::change_topic;
use super::read_topic;
use crate::error::QueueError;
use crate::keys;
use crate::place::{self, Kind, Old, Place};
use crate::queue::TitoQueue;

/// What a change of the number of partitions did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Resized {
    /// Events, dead letters and kept events that went to other partitions.
    pub moved: u64,
    /// Entries of partitions that no longer exist whose bytes are not an event; they went to the dead letters.
    pub malformed: u64,
}

impl AddAssign for Resized {
    fn add_assign(&mut self, other: Self) {
        self.moved += other.moved;
        self.malformed += other.malformed;
    }
}

impl TitoQueue {
    /// Changes the number of partitions of a topic and of its groups, from 1 to 10,000, while events are published and
    /// handled. Events whose entities now belong to another partition are moved there, with their ids and times, in
    /// transactions of at most 200 each; dead letters and history of partitions that vanish are moved too. Waits first,
    /// as [`add_group`](TitoQueue::add_group) does, until everybody publishes with the new number.
    ///
    /// To finish an interrupted call, call again with the same number, from anywhere, even several at once; until then
    /// the topic stays in service. A topic that does not exist is created with this number.
    ///
    /// # Errors
    /// [`QueueError::ResizeUnderWay`] if a change to another number is not finished,
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`TitoError::OutOfRange`](tito_core::TitoError::OutOfRange) for a number outside 1 to 10,000, and those of the
    /// engine: call again to finish.
    pub async fn resize_topic(&self, topic_name: &str, partitions: u16) -> Result<Resized, QueueError> {
        Topic::ensure(&self.engine, topic_name, partitions).await?;
        let name = topic_name.to_string();
        let topic = change_topic(&self.engine, topic_name, |mut topic, _| async move {
            match topic.resized_from {
                Some(from) if topic.partitions != partitions => {
                    Err(QueueError::ResizeUnderWay { topic: name, from, to: topic.partitions, asked: partitions }
                        .into())
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
        Ok(self.move_events(topic_name, &topic).await?)
    }

    /// Finishes the change of the number of partitions that is under way, if one is.
    pub(super) async fn finish_resize(&self, topic_name: &str) -> Result<Resized> {
        let topic = read_topic(&self.engine, topic_name).await?;
        self.move_events(topic_name, &topic).await
    }

    async fn move_events(&self, topic_name: &str, topic: &Topic) -> Result<Resized> {
        if topic.resized_from.is_none() {
            return Ok(Resized::default());
        }
        settle_topics(&self.engine).await?;
        let (partitions, resize) = (topic.partitions, topic.resizes);
        let mut resized = Resized::default();
        // Groups that were added since are published to by the new number.
        for queue in topic.queues(topic_name) {
            let mover = Arc::new(Mover { topic_name: topic_name.to_string(), queue: queue.into(), partitions, resize });
            for partition in 0..topic.served_partitions() {
                resized += mover.clone().empty(&self.engine, partition).await?;
            }
        }
        change_topic(&self.engine, topic_name, |mut topic, _| async move {
            let is_under_way = topic.resizes == resize && topic.resized_from.take().is_some();
            Ok(is_under_way.then_some(topic))
        })
        .await?;
        Ok(resized)
    }
}

/// Moves what lies in wrong partitions of one queue.
struct Mover {
    topic_name: String,
    queue: Arc<str>,
    /// The new number.
    partitions: u16,
    /// Which change this is.
    resize: u64,
}

impl Mover {
    async fn empty(self: Arc<Self>, database: &Database, partition: u16) -> Result<Resized> {
        // First the events, which become the others.
        let kinds = if partition < self.partitions { &Kind::ALL[..1] } else { &Kind::ALL };
        let mut resized = Resized::default();
        for &kind in kinds {
            let mover = self.clone();
            let step = move |tx: Transaction, page| {
                let mover = mover.clone();
                async move { mover.move_page(&tx, kind, partition, page).await }
            };
            resized += walk_in_steps(database, kind.of_partition(&self.queue, partition), step).await?;
        }
        Ok(resized)
    }

    async fn move_page(&self, tx: &Transaction, kind: Kind, from: u16, page: Vec<KeyValue>) -> Result<Resized> {
        let topic = Topic::read(tx, &self.topic_name).await?;
        // Another call may have finished this change, and a third begun the next.
        if topic.resized_from.is_none() || topic.resizes != self.resize {
            return Ok(Resized::default());
        }
        let mut resized = Resized::default();
        for (key, row) in page {
            let event = TitoEvent::decode(&key, &row).ok().zip(Place::parse(kind, &key));
            let place = match event {
                Some((event, place)) => {
                    let to = keys::partition_of(&event.entity, self.partitions);
                    if to == from {
                        continue;
                    }
                    resized.moved += 1;
                    Place { partition: to, ..place }
                }
                // Its worker sets it aside.
                None if from < self.partitions => continue,
                None => {
                    resized.malformed += 1;
                    let (partition, second) = (from % self.partitions, tx.now().seconds());
                    Place { kind: Kind::Dead, partition, second, id: place::id_of(tx, &key) }
                }
            };
            let old = Old::row(&key, &row);
            place::put(tx, &self.queue, place, row, Some(old)).await?;
        }
        Ok(resized)
    }
}
