//! Entities of a strict subscription whose first event waits for its next attempt.

use std::collections::BTreeSet;

use foldhash::HashMap;

use super::lanes::Entity;

/// With more of them in a partition, nothing is read until some continue; each takes about 150 bytes.
const MOST: usize = if cfg!(test) { 8 } else { 50_000 };

/// Later events of these entities are skipped. When the first one falls due, they are read again from there.
#[derive(Default)]
pub(super) struct Blocked {
    /// By entity: when its first event falls due, in Unix seconds, and the event's key.
    first: HashMap<Entity, (i64, Vec<u8>)>,
    by_time: BTreeSet<(i64, Entity)>,
}

impl Blocked {
    pub(super) fn is_full(&self) -> bool {
        self.first.len() >= MOST
    }

    /// Whether an event has to wait for an earlier one of its entity.
    pub(super) fn blocks(&self, entity: Entity, key: &[u8]) -> bool {
        self.first.get(&entity).is_some_and(|(_, first)| key > first.as_slice())
    }

    /// Blocks what comes after `key` until a second, unless an earlier event of the entity already blocks it.
    pub(super) fn block(&mut self, entity: Entity, key: Vec<u8>, until: i64) {
        if self.first.get(&entity).is_some_and(|(_, first)| *first < key) {
            return;
        }
        if let Some((known, _)) = self.first.insert(entity, (until, key)) {
            self.by_time.remove(&(known, entity));
        }
        self.by_time.insert((until, entity));
    }

    /// When the next of them falls due.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.by_time.first().map(|(until, _)| *until)
    }

    /// Unblocks those that are due, and returns the first of their keys.
    pub(super) fn unblock(&mut self, now: i64) -> Option<Vec<u8>> {
        let mut earliest: Option<Vec<u8>> = None;
        while let Some(&(until, entity)) = self.by_time.first().filter(|(until, _)| *until <= now) {
            self.by_time.remove(&(until, entity));
            let key = self.first.remove(&entity).map(|(_, key)| key);
            earliest = match (earliest, key) {
                (Some(earliest), Some(key)) => Some(earliest.min(key)),
                (earliest, key) => earliest.or(key),
            };
        }
        earliest
    }

    /// Each entity with the second until which it is blocked, and the key of the event that it waits for.
    pub(super) fn all(&self) -> impl Iterator<Item = (Entity, i64, &[u8])> {
        self.first.iter().map(|(entity, (until, key))| (*entity, *until, key.as_slice()))
    }

    /// The first of all their keys.
    pub(super) fn first_key(&self) -> Option<&[u8]> {
        self.first.values().map(|(_, key)| key.as_slice()).min()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use tito_core::TitoError;
    use tito_core::embedded::EmbeddedBackend;
    use tito_core::event::TitoEvent;

    use super::*;
    use crate::policy::{Order, RetryPolicy, Subscription};
    use crate::publish::Publish;
    use crate::queue::TitoQueue;
    use crate::worker::Worker;

    #[tokio::test]
    async fn a_partition_that_is_full_of_waiting_entities_goes_on_when_they_are_due() {
        let db = EmbeddedBackend::in_memory().await.unwrap();
        let queue = TitoQueue::new(db.clone());
        queue.create_topic("job", 1).await.unwrap();
        let events = 3 * MOST as u64;
        let publisher = queue.clone();
        let publish = |tx| async move {
            for entity in 0..events {
                publisher.publish(Publish::new("job", entity.to_string()), &tx).await?;
            }
            Ok(())
        };
        db.transaction(publish).await.unwrap();
        let at_once = RetryPolicy::default().first_delay(Duration::ZERO);
        let strict = Subscription::default().order(Order::Strict).retry(at_once);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let fails_once = move |event: TitoEvent| {
            let tell = tell.clone();
            async move {
                if event.failed_attempts == 0 {
                    return Err(TitoError::Application("once".into()));
                }
                tell.send(()).unwrap();
                Ok(())
            }
        };
        let worker = Worker::builder(queue).subscribe_with("job", strict, fails_once).build();
        let all_done = async {
            for _ in 0..events {
                told.recv().await.unwrap();
            }
        };
        let report = worker.run(all_done).await.unwrap();
        assert_eq!((report.done, report.retried), (events, events));
    }

    #[test]
    fn later_events_of_an_entity_wait_until_its_first_one_is_due() {
        let mut blocked = Blocked::default();
        blocked.block(7, b"b".to_vec(), 100);
        blocked.block(8, b"a".to_vec(), 101);
        assert!(blocked.blocks(7, b"c") && !blocked.blocks(7, b"b") && !blocked.blocks(7, b"a"));
        assert!(!blocked.blocks(9, b"c"));
        assert_eq!(blocked.next_due(), Some(100));
        assert_eq!(blocked.unblock(99), None);
        assert_eq!(blocked.unblock(100), Some(b"b".to_vec()));
        assert!(!blocked.blocks(7, b"c"));
        assert_eq!(blocked.first_key(), Some(&b"a"[..]));
    }

    #[test]
    fn an_entity_that_is_blocked_again_waits_for_the_later_time() {
        let mut blocked = Blocked::default();
        blocked.block(7, b"b".to_vec(), 100);
        blocked.block(7, b"b".to_vec(), 200);
        assert_eq!(blocked.unblock(150), None);
        assert_eq!(blocked.next_due(), Some(200));
    }

    #[test]
    fn a_later_event_of_an_entity_does_not_let_the_first_one_go() {
        let mut blocked = Blocked::default();
        blocked.block(7, b"b".to_vec(), 100);
        blocked.block(7, b"c".to_vec(), 0);
        assert_eq!(blocked.unblock(99), None);
        assert_eq!(blocked.unblock(100), Some(b"b".to_vec()));
        blocked.block(7, b"c".to_vec(), 200);
        blocked.block(7, b"b".to_vec(), 0);
        assert_eq!(blocked.unblock(99), Some(b"b".to_vec()));
    }

    #[test]
    fn those_that_are_due_together_are_read_from_the_first_on() {
        let mut blocked = Blocked::default();
        blocked.block(1, b"m".to_vec(), 5);
        blocked.block(2, b"k".to_vec(), 6);
        assert_eq!(blocked.unblock(10), Some(b"k".to_vec()));
        assert_eq!(blocked.next_due(), None);
    }
}
