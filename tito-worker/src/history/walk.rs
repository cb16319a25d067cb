//! A walk through what was done.

use std::ops::Range;

use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::{Result, Transaction};

use crate::keys;

/// Goes through what was done in a queue, by partition and then by the second in which it was done.
#[derive(Clone, Debug)]
pub(crate) struct DoneWalk {
    queue: String,
    /// Entry by entry.
    walk: Walk,
}

impl DoneWalk {
    /// All of it, or what comes after a key.
    pub(crate) fn new(queue: &str, after: Option<&[u8]>) -> Self {
        let all = keys::done_events(queue);
        let walk = Walk::over(after.map_or(all.clone(), |key| all.after(key))).in_pages(PageSize::entries(1));
        Self { queue: queue.to_string(), walk }
    }

    /// The next page of what was done in some seconds; empty after the last one. Partitions are found by what is stored,
    /// as there may be history of more of them than the topic has now. Costs two scans for each.
    pub(crate) async fn page(
        &mut self,
        tx: &Transaction,
        seconds: Range<i64>,
        size: PageSize,
    ) -> Result<Vec<KeyValue>> {
        loop {
            let from = self.walk.clone();
            let first = self.walk.next_in(tx).await?.and_then(|mut page| page.pop());
            let Some((first, _)) = first else { return Ok(Vec::new()) };
            let Some(partition) = keys::parse_event_partition(&first) else { continue };
            let between = keys::done_events_between(&self.queue, partition, seconds.start, seconds.end);
            let mut within = from.within(between).in_pages(size);
            let page = within.next_in(tx).await?.unwrap_or_default();
            let next = within.position().map(<[u8]>::to_vec);
            if let Some(next) = next.or_else(|| keys::done_events_of_partition(&self.queue, partition).end) {
                self.walk.skip_to(next);
            }
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }
}
