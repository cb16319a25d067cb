//! A step over what is pending.

use tito_core::event::{TitoEvent, Topic, delete_pending, started_at, topic_of};
use tito_core::{Result, Transaction};
use uuid::Uuid;

use super::row::{OperationRow, Progress};
use super::step::Page;
use super::task::EventFilter;
use crate::keys;
use crate::locate::blocks_until;

/// The second in which an event was published.
fn second_of(id: Uuid) -> i64 {
    i64::try_from(started_at(id).physical_millis() / 1_000).unwrap_or(i64::MAX)
}

/// Whether what is stored under the key of an event is deleted.
pub(super) fn is_purged(key: &[u8], value: &[u8], latest: i64, events: &EventFilter) -> bool {
    match (keys::parse_event(key), TitoEvent::decode(key, value)) {
        // Where publishing goes on this would never end.
        (Some(place), _) if second_of(place.id) > latest => false,
        (Some(place), Ok(event)) => events.chooses(&event, place.seconds),
        _ => events.is_all(),
    }
}

/// Deletes some for good.
pub(super) async fn purge(tx: &Transaction, row: &OperationRow, queue: &str, events: &EventFilter) -> Result<Progress> {
    let mut page = Page::read(tx, row, keys::events_of_queue(queue)).await?;
    let mut progress = Progress::default();
    let room = row.room(1_000) as u64;
    let mut is_waited_for = false;
    while progress.done < room
        && let Some((key, value)) = page.next()
    {
        progress.searched += 1;
        if is_purged(&key, &value, row.latest, events) {
            is_waited_for |= blocks_until(&key, &value).is_some();
            delete_pending(tx, key, &value).await?;
            progress.done += 1;
        }
    }
    if is_waited_for {
        Topic::raise_revision(tx, topic_of(queue).0).await?;
    }
    progress.cursor = page.cursor();
    Ok(progress)
}
