//! Later events of an entity, which wait where the order is strict.

use tito_core::event::{TitoEvent, Topic};
use tito_core::{Result, TitoTransaction};

use super::locate::Located;

/// Whether later events of its entity may wait until a stored event is tried again.
pub(crate) fn holds_up_later_ones(key: &[u8], stored: &[u8]) -> bool {
    TitoEvent::decode(key, stored).is_ok_and(|event| event.not_before.is_some())
}

/// To be called in a transaction that deletes these events or puts them elsewhere. Workers know of an event that was put
/// off in its place until when it holds up its entity, and look no sooner: the topic's new revision makes them.
pub(crate) async fn let_later_ones_go<T: TitoTransaction>(tx: &T, event_type: &str, gone: &[Located]) -> Result<()> {
    if gone.iter().any(|event| holds_up_later_ones(&event.key, &event.value)) {
        Topic::raise_revision(tx, event_type).await?;
    }
    Ok(())
}
