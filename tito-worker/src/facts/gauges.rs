//! What there is in queues, and who works, as metrics: set from time to time, so that a scrape reads nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use metrics::{describe_gauge, gauge};
use tito_core::Result;
use tito_core::event::{Topic, topic_of};
use tito_core::{Transaction, keys::KeyRange};

use super::counting::firsts;
use super::owners::{note_look, owned_backlogs};
use crate::keys;
use crate::observe::metrics::{BACKLOG_EVENTS, LONGEST_RUN_SECONDS, OLDEST_DUE_SECONDS, PAUSED, TOPIC, WORKERS};
use crate::queue::TitoQueue;

/// How many topics are read at once.
const TOPICS_AT_ONCE: usize = 500;

/// Sets the gauges of queues again and again. Never ends.
pub(crate) async fn keep_gauges(queue: &TitoQueue, names: Vec<Arc<str>>, every: Duration) {
    let names: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
    let clock = queue.engine.clock();
    let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
    loop {
        let began = clock.monotonic_millis();
        if let Err(error) = set_gauges(queue, &names).await {
            tracing::warn!(%error, "the gauges of queues could not be set, trying again");
        }
        clock.wait_until_monotonic(began.saturating_add(every)).await;
    }
}

/// Queues without events cost nothing but their share of reading topics.
fn set_gauges<'a>(queue: &'a TitoQueue, names: &'a BTreeSet<String>) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        describe();
        let now = queue.engine.now().await?;
        let range = match (names.first(), names.last()) {
            (Some(first), Some(last)) => span(first, last),
            _ => return Ok(()),
        };
        let mut firsts = BTreeMap::new();
        if !queue.engine.is_only_writer() {
            note_look(&queue.engine, names.iter().map(String::as_str)).await;
            (firsts, _) = self::firsts(&queue.engine, range, usize::MAX, |name| names.contains(name)).await?;
        }
        let workers = queue.workers().await?;
        let paused = paused(queue, names).await?;
        for name in names {
            let of_queue = || name.clone();
            let backlog = match queue.known_backlog(name, now) {
                Some(known) => known,
                None if queue.engine.is_only_writer() => queue.counted_backlog(name, now).await?,
                None => {
                    let firsts = firsts.get(name).map_or(&[][..], Vec::as_slice);
                    let owned = owned_backlogs(&queue.engine, name, firsts, now).await?;
                    queue.sum(name, firsts, owned, now, true).await?
                }
            };
            gauge!(BACKLOG_EVENTS, TOPIC => of_queue()).set(backlog.count as f64);
            gauge!(OLDEST_DUE_SECONDS, TOPIC => of_queue()).set(backlog.oldest_due.unwrap_or_default().as_secs_f64());
            gauge!(PAUSED, TOPIC => of_queue()).set(f64::from(u8::from(paused.contains(name))));
            let live = workers.iter().filter(|worker| worker.live);
            let serving = live.clone().filter(|worker| worker.queues.contains(name)).count();
            gauge!(WORKERS, TOPIC => of_queue()).set(serving as f64);
            let runs = live.flat_map(|worker| &worker.running).filter(|run| run.queue == *name);
            let longest = runs.map(|run| now.millis() as i64 - run.since.timestamp_millis()).max().unwrap_or(0);
            gauge!(LONGEST_RUN_SECONDS, TOPIC => of_queue()).set(longest.max(0) as f64 / 1_000.0);
        }
        Ok(())
    })
}

/// From the events of one queue to those of another.
fn span(first: &str, last: &str) -> KeyRange {
    KeyRange { end: keys::events_of_queue(last).end, ..keys::events_of_queue(first) }
}

async fn paused(queue: &TitoQueue, names: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let names: Vec<_> = names.iter().collect();
    let mut paused = BTreeSet::new();
    for names in names.chunks(TOPICS_AT_ONCE) {
        let topics: Vec<_> = names.iter().map(|name| keys::topic(topic_of(name).0)).collect();
        let asked = topics.clone();
        let read = |tx: Transaction| {
            let asked = asked.clone();
            async move { tx.batch_get(asked).await }
        };
        let stored = queue.engine.transaction(read).await?;
        for ((name, key), row) in names.iter().zip(topics).zip(stored) {
            let topic = row.and_then(|row| Topic::decode(&key, &row).ok());
            if topic.is_some_and(|topic| topic.is_paused(name)) {
                paused.insert((*name).clone());
            }
        }
    }
    Ok(paused)
}

fn describe() {
    describe_gauge!(BACKLOG_EVENTS, "Events that are due and not done, at least.");
    describe_gauge!(OLDEST_DUE_SECONDS, "For how long the event has been due that fell due first.");
    describe_gauge!(PAUSED, "Whether the queue is paused: 1 or 0.");
    describe_gauge!(WORKERS, "Live workers that serve the queue.");
    describe_gauge!(LONGEST_RUN_SECONDS, "For how long the handler has run that runs longest.");
}
