//! What was published, and what is to be found of it.

use std::collections::BTreeMap;

use tito_core::TxOptions;
use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_worker::prelude::*;

use crate::{ENTITIES, PARTITIONS, TOPICS};

/// How many events were published: by topic and entity.
#[derive(Default)]
pub struct Ledger(BTreeMap<(&'static str, usize), u64>);

impl Ledger {
    pub fn events(&self) -> u64 {
        self.0.values().sum()
    }

    /// Publishes an event of each topic about an entity at random, each in a transaction of its own. An entity's events
    /// are numbered in the order of their publication.
    pub async fn publish(&mut self, db: &Database, random: &mut fastrand::Rng) {
        for topic in TOPICS {
            let entity = random.usize(..ENTITIES);
            let number = self.0.entry((topic, entity)).or_default();
            // Without the key an unknown outcome could publish it twice, which would be ours and not the workers'.
            let options = TxOptions::default().idempotency_key(format!("{topic}/{entity}/{number}"));
            let event = Publish::new(topic, format!("e{entity}")).action(number.to_string());
            let queue = TitoQueue::new(db.clone());
            let published = db.transaction_with(options, |tx| async move {
                // As an application's row would, this makes an entity's transactions follow one another.
                tx.put(format!("row:{topic}:{entity}").into_bytes(), Vec::new()).await?;
                queue.publish(event, &tx).await.map(|_| ())
            });
            match published.await {
                Ok(()) | Err(TitoError::AlreadyApplied { .. }) => *number += 1,
                Err(error) => panic!("publishing failed: {error}"),
            }
        }
    }

    /// Checks that everything was handled, as often and in the order as promised.
    pub async fn check(&self, db: &Database) {
        for ((topic, entity), published) in &self.0 {
            let log = scan(db, &format!("note:{topic}:e{entity}:")).await;
            let handled: Vec<u64> = log.iter().map(|(_, value)| number(value)).collect();
            let all: Vec<u64> = (0..*published).collect();
            let mut sorted = handled.clone();
            sorted.sort_unstable();
            match *topic {
                "strict" => assert_eq!(handled, all, "{topic} {entity}: in order, each once"),
                "batch" => assert_eq!(sorted, all, "{topic} {entity}: each once"),
                _ => {
                    sorted.dedup();
                    assert_eq!(sorted, all, "{topic} {entity}: each at least once");
                }
            }
        }
        assert!(scan(db, "dead:").await.is_empty());
    }
}

/// The topics, as they are at the beginning.
pub async fn create_topics(db: &Database) {
    for topic in TOPICS {
        TitoQueue::new(db.clone()).create_topic(topic, PARTITIONS).await.unwrap();
    }
}

/// How many events have not been done.
pub async fn backlog(db: &Database) -> usize {
    scan(db, "event:").await.len()
}

pub async fn scan(db: &Database, prefix: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let range = KeyRange::prefix(prefix);
    db.transaction(|tx| async move { tx.scan(range, 100_000).await }).await.unwrap()
}

pub fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}
