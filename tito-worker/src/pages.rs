//! Walks over what is stored, page by page.

use std::ops::Range;

use tito_core::engine::KeyValue;
use tito_core::keys::{self, KeyRange};
use tito_core::{Database, Result, Timestamp, Transaction};

/// How many entries a page has at the most.
pub(crate) const PAGE: usize = 200;

/// The pages of a range, each read at a snapshot of its own, so that a long walk holds none for long.
pub(crate) struct Pages<'a> {
    engine: &'a Database,
    rest: Option<KeyRange>,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(engine: &'a Database, range: KeyRange) -> Self {
        Self { engine, rest: Some(range) }
    }

    /// The next page and when it was read; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<(Vec<KeyValue>, Timestamp)>> {
        let Some(range) = self.rest.take().filter(|range| !range.is_empty()) else { return Ok(None) };
        let tx = self.engine.begin().await?;
        let page = tx.scan(range.clone(), PAGE).await;
        let now = tx.start_timestamp();
        tx.rollback().await;
        let page = page?;
        if let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) {
            self.rest = Some(range.after(last));
        }
        Ok((!page.is_empty()).then_some((page, now)))
    }

    /// Passes over what lies before `key`.
    pub(crate) fn skip_to(&mut self, key: Vec<u8>) {
        self.rest = self.rest.take().map(|rest| rest.not_before(key));
    }
}

/// Goes through what was done in a queue, by partition and then by the second in which it was done.
#[derive(Clone, Debug)]
pub(crate) struct DoneWalk {
    queue: String,
    rest: Option<KeyRange>,
}

impl DoneWalk {
    /// All of it, or what comes after a key.
    pub(crate) fn new(queue: &str, after: Option<&[u8]>) -> Self {
        let all = keys::done_events(queue);
        Self { queue: queue.to_string(), rest: Some(after.map_or(all.clone(), |key| all.after(key))) }
    }

    /// The next page of what was done in some seconds; empty after the last one. Partitions are found by what is stored,
    /// as there may be history of more of them than the topic has now. Costs two scans for each.
    pub(crate) async fn page(&mut self, tx: &Transaction, seconds: Range<i64>, limit: usize) -> Result<Vec<KeyValue>> {
        while let Some(rest) = self.rest.clone() {
            let first = if rest.is_empty() { None } else { tx.scan(rest.clone(), 1).await?.pop() };
            let Some((first, _)) = first else { break };
            let Some(partition) = keys::parse_event_partition(&first) else {
                self.rest = Some(rest.after(&first));
                continue;
            };
            let between = keys::done_events_between(&self.queue, partition, seconds.start, seconds.end);
            let between = between.intersection(rest.clone());
            let page = if between.is_empty() { Vec::new() } else { tx.scan(between, limit).await? };
            if let Some((last, _)) = page.last().filter(|_| page.len() >= limit) {
                self.rest = Some(rest.after(last));
            } else {
                let next = keys::done_events_between(&self.queue, partition.saturating_add(1), 0, 0).start;
                self.rest = (next > rest.start).then(|| rest.not_before(next));
            }
            if !page.is_empty() {
                return Ok(page);
            }
        }
        self.rest = None;
        Ok(Vec::new())
    }

    /// Takes the walk back to what comes after a key that it has passed.
    pub(crate) fn go_back_after(&mut self, key: &[u8]) {
        self.rest = Some(keys::done_events(&self.queue).after(key));
    }
}
