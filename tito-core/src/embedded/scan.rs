//! Scans of a snapshot with a transaction's own writes on top.

use super::merge::{Merge, Source};
use super::store::{Direction, Snapshot, StoreResult};
use crate::engine::KeyValue;
use crate::engine::write_buffer::Writes;
use crate::keys::KeyRange;

/// The first `limit` keys of `range` in the order of `direction`, as the snapshot has them with `writes` on top.
pub(super) fn merged_scan(
    snapshot: &dyn Snapshot,
    writes: &Writes,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
) -> StoreResult<Vec<KeyValue>> {
    if range.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let own = writes.range::<[u8], _>(range.bounds()).map(|(key, pending)| Ok((key.clone(), pending.value.clone())));
    let own: Source<'_> = match direction {
        Direction::Ascending => Box::new(own),
        Direction::Descending => Box::new(own.rev()),
    };
    let stored = snapshot.range(range, direction)?.map(|entry| entry.map(|(key, value)| (key, Some(value))));
    // The limit counts what is found, after own deletes took keys away.
    Merge::new([own, Box::new(stored)], direction).take(limit).collect()
}
