//! Who serves a queue, and has an event in hand: asked of what workers say of themselves, and of leases.

use chrono::{DateTime, Utc};
use tito_core::{Result, Transaction};
use uuid::Uuid;

use crate::membership::lease_owner;
use crate::policy::LimitedBy;
use crate::queue::TitoQueue;
use crate::registration::{WorkerInfo, known_version};
use crate::worker::live_marks;

/// Who serves a queue, before it is known in which partition of it the event lies.
pub(super) struct Servers {
    /// The live workers that say that they serve it.
    workers: Vec<WorkerInfo>,
    /// Who says of the event that a handler of his has it, and since when.
    in_hand: Option<(Uuid, DateTime<Utc>)>,
}

/// Who serves a partition of a queue.
pub(super) struct Serving {
    /// Whether a live worker is known that serves the queue.
    pub(super) is_served: bool,
    /// Whether live workers serve the queue, but none of them the partition; with the last owner.
    pub(super) unowned: Option<Option<Uuid>>,
    /// Who has the event in hand, and since when as far as it is known.
    pub(super) in_hand: Option<(Uuid, Option<DateTime<Utc>>)>,
    /// Which limit keeps all who serve the partition from handing out more.
    pub(super) limited: Option<LimitedBy>,
    /// The latest version of payloads that one of those knows who serve the partition, where all of them say one.
    pub(super) known_version: Option<u32>,
}

impl Servers {
    /// Those of a queue, and of them who has an event in hand.
    pub(super) async fn of(queue: &TitoQueue, queue_name: &str, event: Uuid) -> Result<Self> {
        let in_hand = queue.in_hand(queue_name, event).await?.filter(|in_hand| in_hand.is_live);
        Ok(Self {
            workers: queue.serving(queue_name).await?,
            in_hand: in_hand.map(|in_hand| (in_hand.worker, in_hand.handler.since)),
        })
    }

    /// Who serves a partition, and has the event under `key` in hand.
    pub(super) async fn of_partition(
        &self,
        tx: &Transaction,
        queue: &str,
        partition: u16,
        key: &[u8],
    ) -> Result<Serving> {
        let owner = lease_owner(tx, queue, partition).await?;
        // Those of earlier releases say nothing but this.
        let marks = live_marks(tx, queue).await?;
        let others = marks.iter().filter(|mark| self.workers.iter().all(|worker| worker.id != mark.id));
        let listed = marks.iter().find(|mark| mark.has_in_hand(key)).map(|mark| (mark.id, None));
        let is_served = !marks.is_empty() || !self.workers.is_empty();
        let serves = |worker: &WorkerInfo| match &worker.share {
            Some(share) => share.of(partition + 1).any(|one| one == partition),
            None => owner == Some(worker.id),
        };
        let others = others.count();
        let serving: Vec<_> = self.workers.iter().filter(|worker| serves(worker)).collect();
        let is_owned = others > 0 || !serving.is_empty();
        let all_are_known = others == 0;
        let mut limits = serving.iter().map(|worker| worker.limited.get(queue));
        let limited = limits.next().flatten().filter(|_| all_are_known && limits.all(|limit| limit.is_some()));
        Ok(Serving {
            is_served,
            unowned: (is_served && !is_owned).then_some(owner),
            limited: limited.copied(),
            known_version: known_version(serving.iter().copied(), queue).filter(|_| all_are_known),
            in_hand: self.in_hand.map(|(worker, since)| (worker, Some(since))).or(listed),
        })
    }
}
