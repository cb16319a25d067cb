//! Queues whose due events nobody acknowledges.

use std::collections::BTreeMap;
use std::time::Duration;

use tito_core::database::{PageSize, Walk};
use tito_core::event::{Topic, due_second};
use tito_core::{Database, Result};

use crate::keys;
use crate::queue::TitoQueue;

/// How long the first due event of a partition has to be the same one.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often a queue is warned of.
const WARN_EVERY: Duration = Duration::from_secs(3_600);

/// How many topics one look reads; the next one goes on after them.
const TOPICS: usize = 100;

/// What was seen of all queues, whoever serves them.
#[derive(Default)]
pub(super) struct Unattended {
    /// The topic after which to go on.
    after: Option<String>,
    queues: BTreeMap<String, Seen>,
}

/// What was seen of a queue.
#[derive(Default)]
struct Seen {
    /// The first events of partitions that have one which is due, and since when it is the first, in Unix seconds.
    firsts: BTreeMap<u16, (Vec<u8>, i64)>,
    warned: Option<i64>,
}

/// A queue that is to be warned of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stuck {
    pub(super) queue: String,
    /// How many partitions stand still.
    pub(super) partitions: usize,
    /// How long ago the event that has been due longest fell due.
    pub(super) oldest_due_seconds: i64,
}

impl Stuck {
    pub(super) fn warn(&self) {
        let Self { queue, partitions, oldest_due_seconds } = self;
        tracing::warn!(
            queue,
            partitions,
            oldest_due_seconds,
            "events are due and nobody has acknowledged any for some minutes: does a worker serve the queue?"
        );
    }
}

impl Unattended {
    /// Looks at the next topics, and says which of their queues nobody has acknowledged anything of for some minutes,
    /// though events are due. Costs one scan of one row for each partition that holds events.
    pub(super) async fn look(&mut self, queue: &TitoQueue) -> Result<Vec<Stuck>> {
        let topics = queue.topics(TOPICS, self.after.as_deref()).await?;
        self.after = if topics.len() < TOPICS { None } else { topics.last().map(|(name, _)| name.clone()) };
        let mut stuck = Vec::new();
        for (name, topic) in topics {
            for queue_name in topic.queues(&name) {
                if topic.is_paused(&queue_name) {
                    self.queues.remove(&queue_name);
                    continue;
                }
                stuck.extend(self.look_at(&queue.engine, queue_name, &topic).await?);
            }
        }
        Ok(stuck)
    }

    async fn look_at(&mut self, database: &Database, queue: String, topic: &Topic) -> Result<Option<Stuck>> {
        let mut walk = Walk::over(keys::events_of_queue(&queue)).in_pages(PageSize::entries(1));
        let mut seen = self.queues.remove(&queue).unwrap_or_default();
        let before = std::mem::take(&mut seen.firsts);
        let mut stuck = Stuck { queue: queue.clone(), partitions: 0, oldest_due_seconds: 0 };
        let mut latest = 0;
        while let Some((page, now)) = walk.next(database).await? {
            let now = now.seconds();
            latest = now;
            let Some((key, value)) = page.into_iter().next() else { break };
            let Some(partition) = keys::parse_event_partition(&key).filter(|at| *at < topic.served_partitions()) else {
                continue;
            };
            if let Some(end) = keys::events_of_partition(&queue, partition).end {
                walk.skip_to(end);
            }
            let due = due_second(&key, &value);
            if due > now {
                continue;
            }
            let since = before.get(&partition).filter(|(first, _)| *first == key).map_or(now, |(_, since)| *since);
            if now.saturating_sub(since) >= PATIENCE.as_secs() as i64 {
                stuck.partitions += 1;
                stuck.oldest_due_seconds = stuck.oldest_due_seconds.max(now - due);
            }
            seen.firsts.insert(partition, (key, since));
        }
        if seen.firsts.is_empty() {
            return Ok(None);
        }
        let is_told = seen.warned.is_some_and(|warned| latest.saturating_sub(warned) < WARN_EVERY.as_secs() as i64);
        let is_stuck = stuck.partitions > 0 && !is_told;
        if is_stuck {
            seen.warned = Some(latest);
        }
        self.queues.insert(queue, seen);
        Ok(is_stuck.then_some(stuck))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tito_core::event::TitoEvent;
    use tito_core::prelude::*;

    use super::*;
    use crate::membership::tests::support::database;
    use crate::policy::{Order, RetryPolicy, Subscription};
    use crate::publish::Publish;
    use crate::worker::Worker;

    async fn publish(db: &Database, event: Publish) {
        let queue = TitoQueue::new(db.clone());
        db.transaction(|tx| async move { queue.publish(event, &tx).await.map(drop) }).await.unwrap();
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_queue_that_nobody_serves_is_told_of_after_some_minutes_and_then_hourly() {
        let (db, clock) = database().await;
        let queue = TitoQueue::new(db.clone());
        publish(&db, Publish::new("orphan", "a")).await;
        publish(&db, Publish::new("later", "a").delay(100 * MINUTE)).await;
        publish(&db, Publish::new("paused", "a")).await;
        queue.pause("paused").await.unwrap();
        let (mut unattended, mut told) = (Unattended::default(), Vec::new());
        for minute in 0..70 {
            for stuck in unattended.look(&queue).await.unwrap() {
                assert_eq!((stuck.queue.as_str(), stuck.partitions), ("orphan", 1));
                assert_eq!(stuck.oldest_due_seconds, minute * 60);
                told.push(minute);
            }
            clock.advance(MINUTE);
        }
        assert_eq!(told, [5, 65]);
    }

    #[tokio::test]
    async fn of_the_last_partition_too_only_the_first_event_is_looked_at() {
        let (db, clock) = database().await;
        let queue = TitoQueue::new(db.clone());
        queue.create_topic("wide", keys::MAX_PARTITIONS).await.unwrap();
        let is_last = |entity: &String| keys::partition_of(entity, keys::MAX_PARTITIONS) == keys::MAX_PARTITIONS - 1;
        let entity = (0..).map(|number: u32| number.to_string()).find(is_last).unwrap();
        publish(&db, Publish::new("wide", entity.clone())).await;
        let mut unattended = Unattended::default();
        for _ in 0..4 {
            assert_eq!(unattended.look(&queue).await.unwrap(), []);
            clock.advance(MINUTE);
            publish(&db, Publish::new("wide", entity.clone())).await;
        }
        clock.advance(MINUTE);
        let told = unattended.look(&queue).await.unwrap();
        assert_eq!(
            told.iter().map(|stuck| (stuck.partitions, stuck.oldest_due_seconds)).collect::<Vec<_>>(),
            [(1, 300)]
        );
    }

    #[tokio::test]
    async fn a_queue_that_is_served_is_not_told_of_however_full_it_is() {
        let (db, clock) = database().await;
        let queue = TitoQueue::new(db.clone());
        queue.create_topic("served", 1).await.unwrap();
        for number in 0..9 {
            publish(&db, Publish::new("served", format!("user:{number}"))).await;
        }
        let mut unattended = Unattended::default();
        for _ in 0..8 {
            assert_eq!(unattended.look(&queue).await.unwrap(), []);
            clock.advance(4 * MINUTE);
            // One is acknowledged, the others wait.
            let mut walk = Walk::over(keys::events_of_queue("served")).in_pages(PageSize::entries(1));
            let (page, _) = walk.next(&db).await.unwrap().unwrap();
            db.transaction(|tx| async move { tx.system_keys().delete(page[0].0.clone()).await }).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_failed_event_that_waits_in_its_place_is_not_told_of() {
        let (db, clock) = database().await;
        let queue = TitoQueue::new(db.clone());
        publish(&db, Publish::new("strict", "a")).await;
        let patient = RetryPolicy::default().first_delay(60 * MINUTE).jitter(0.0);
        let settings = Subscription::default().order(Order::Strict).retry(patient);
        let fails = |_: TitoEvent| async { Err::<(), _>(TitoError::application("no")) };
        let worker = Worker::builder(queue.clone()).subscribe_with("strict", settings, fails).build();
        assert_eq!(worker.drain().await.unwrap().retried, 1);
        let mut unattended = Unattended::default();
        for _ in 0..50 {
            assert_eq!(unattended.look(&queue).await.unwrap(), []);
            clock.advance(MINUTE);
        }
    }
}
