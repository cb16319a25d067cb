//! When a stored event is handed out, and its row written and deleted with that known.

use memchr::memmem;

use super::record::TitoEvent;
use crate::database::Transaction;
use crate::error::Result;
use crate::keys;

/// When what is stored under the key of an event that has not been done is handed out at the earliest, in Unix seconds.
pub fn due_second(key: &[u8], bytes: &[u8]) -> i64 {
    let second = keys::parse_event_second(key).unwrap_or(0);
    // Hardly any row says so, and reading all of one takes longer than looking for it.
    if memmem::find(bytes, b"\"not_before\"").is_none() {
        return second;
    }
    let event = TitoEvent::decode(key, bytes).ok();
    let event = event.filter(|event| keys::parse_event_second_and_id(key).is_some_and(|(_, id)| id == event.id));
    event.and_then(|event| event.not_before).map_or(second, |not_before| second.max(not_before))
}

/// Deletes an event that has not been done. `value` is what is stored of it.
///
/// # Errors
/// See [`Transaction::delete`].
pub async fn delete_pending(tx: &Transaction, key: Vec<u8>, value: &[u8]) -> Result<()> {
    let due = due_second(&key, value);
    tx.system_keys().delete_pending(key, due).await
}
