//! Who serves a queue, according to the marks of the living.

use tito_core::database::Walk;
use tito_core::row::StoredRow;
use tito_core::{Result, Transaction};
use uuid::Uuid;

use super::hands::lives_in_process;
use super::mark::Mark;
use crate::keys;

/// A live worker that serves a queue.
pub(crate) struct LiveMark {
    pub(crate) id: Uuid,
    mark: Mark,
}

impl LiveMark {
    /// Whether it has an event in hand, as far as it keeps a list.
    pub(crate) fn has_in_hand(&self, key: &[u8]) -> bool {
        self.mark.in_hand.iter().flatten().any(|listed| listed.as_bytes() == key)
    }
}

/// The live workers that serve a queue and have handed out something. Reads the rows of all processes.
pub(crate) async fn live_marks(tx: &Transaction, queue: &str) -> Result<Vec<LiveMark>> {
    let (database, now) = (tx.database(), tx.now().millis());
    let mut live = Vec::new();
    for (key, value) in Walk::over(keys::processes()).rest_in(tx).await? {
        let Some((id, mark)) = keys::parse_process(&key).zip(Mark::decode(&key, &value).ok()) else { continue };
        let is_live = lives_in_process(database, id)
            || !database.is_only_writer() && now.saturating_sub(mark.heartbeat) < mark.lease_millis;
        if is_live && mark.queues.iter().any(|one| one == queue) {
            live.push(LiveMark { id, mark });
        }
    }
    Ok(live)
}
