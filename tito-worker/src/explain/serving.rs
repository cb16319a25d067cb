//! Who serves a queue, and has an event in hand: asked of the rows of members, leases and processes.

use chrono::{DateTime, Utc};
use tito_core::{Result, Transaction};
use uuid::Uuid;

use crate::membership::partition_owner;
use crate::worker::live_marks;

/// Who serves a partition of a queue.
pub(super) struct Serving {
    /// Whether a live worker is known that serves the queue.
    pub(super) is_served: bool,
    /// Whether live members of a fleet serve the queue, and none of them owns the partition; with the last owner.
    pub(super) unowned: Option<Option<Uuid>>,
    /// Who has the event in hand, and since when as far as it is known.
    pub(super) in_hand: Option<(Uuid, Option<DateTime<Utc>>)>,
}

/// Who serves a partition of a queue now, and has the event under `key` in hand.
pub(super) async fn serving(tx: &Transaction, queue: &str, partition: u16, key: &[u8]) -> Result<Serving> {
    let owner = partition_owner(tx, queue, partition).await?;
    let marks = live_marks(tx, queue).await?;
    let in_hand = marks.iter().find(|mark| mark.has_in_hand(key)).map(|mark| (mark.id, None));
    Ok(Serving {
        is_served: owner.is_served || !marks.is_empty(),
        unowned: (owner.is_served && !owner.is_live).then_some(owner.owner),
        in_hand,
    })
}
