//! A walk through what was done, or failed for good.

use std::ops::Range;

use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::keys::KeyRange;
use tito_core::{Result, Transaction};
use uuid::Uuid;

use crate::keys;
use crate::place::{Kind, Place};

/// Goes through the dead letters of a queue or its history, by partition and then by the second in which each failed for
/// good or was done.
#[derive(Clone, Debug)]
pub(crate) struct PastWalk {
    kind: Kind,
    queue: String,
    /// Entry by entry.
    walk: Walk,
}

impl PastWalk {
    /// All of it, or what comes after a key.
    pub(crate) fn new(kind: Kind, queue: &str, after: Option<&[u8]>) -> Self {
        let all = kind.of_queue(queue);
        let walk = Walk::over(after.map_or(all.clone(), |key| all.after(key))).in_pages(PageSize::entries(1));
        Self { kind, queue: queue.to_string(), walk }
    }

    /// The next page of what has come to its end in some seconds; empty after the last one. Partitions are found by what is
    /// stored, as there may be rows of more of them than the topic has now. Costs two scans for each.
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
            let mut within = from.within(self.between(partition, &seconds)).in_pages(size);
            let page = within.next_in(tx).await?.unwrap_or_default();
            let next = within.position().map(<[u8]>::to_vec);
            if let Some(next) = next.or_else(|| self.kind.of_partition(&self.queue, partition).end) {
                self.walk.skip_to(next);
            }
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }

    fn between(&self, partition: u16, seconds: &Range<i64>) -> KeyRange {
        let at = |second| Place { kind: self.kind, partition, second, id: Uuid::nil() }.key(&self.queue);
        KeyRange::new(at(seconds.start), at(seconds.end))
    }
}
