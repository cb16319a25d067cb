//! Where scans of a partition may begin, under `checkpoint:{queue}:{partition}`.

use serde::{Deserialize, Serialize};
use tito_core::row::{StoredRow, UnknownMembers};
use tito_core::{Result, Transaction, keeps_unknown_members};

use crate::keys;

#[derive(Default, Serialize, Deserialize)]
pub(super) struct LowWatermark {
    /// The second from which on something may not be done yet.
    pub(super) floor: i64,
    #[serde(skip)]
    unknown: UnknownMembers,
}

keeps_unknown_members!(LowWatermark);

impl StoredRow for LowWatermark {
    const EXPECTED: &'static str = "the checkpoint of a partition in JSON";
}

impl LowWatermark {
    /// Writes the floor into the partition's checkpoint. An unreadable checkpoint only costs a scan from the beginning,
    /// and is replaced.
    pub(super) async fn write(tx: &Transaction, queue: &str, partition: u16, floor: i64) -> Result<()> {
        let key = keys::low_watermark(queue, partition);
        let stored = tx.get(&key).await?.and_then(|stored| Self::decode(&key, &stored).ok());
        let changed = Self { floor, ..stored.unwrap_or_default() };
        tx.system_keys().put(key, changed.encode()?).await
    }
}
