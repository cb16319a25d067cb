//! Publishes, by a rule, events that were appended before the rule.

use tito_core::row::{StoredRow, malformed};
use tito_core::{Database, Transaction, TxOptions};

use crate::error::Result;
use crate::event::Event;
use crate::keys;
use crate::log::{Definition, Head};
use crate::republish::{Shown, publish};

/// How many events a step goes over, so that it is not a burden to appends.
const STEP: usize = 100;

/// Publishes, by the rules of a store that have not caught up, what was appended before them.
///
/// # Errors
/// That of an event that is damaged: the rule stays before it. Those of the engine.
pub(crate) async fn catch_up(database: &Database, name: &str) -> Result<()> {
    while step(database, name).await? {}
    Ok(())
}

/// Publishes some, and says whether there may be more.
async fn step(database: &Database, name: &str) -> Result<bool> {
    let name = name.to_string();
    let step = |tx: Transaction| async move { step_in(&tx, &name).await };
    database.transaction_with(TxOptions::default(), step).await
}

async fn step_in(tx: &Transaction, name: &str) -> Result<bool> {
    let key = keys::event_store(name);
    let Some(stored) = tx.get(&key).await? else { return Ok(false) };
    let mut definition = Definition::decode(&key, &stored)?;
    let store = definition.id;
    let behind = definition.republishing.iter_mut().find_map(|rule| Some((rule.position?, rule)));
    let Some((position, rule)) = behind else { return Ok(false) };
    let head_key = keys::log_head(store);
    let Some(head) = tx.get(&head_key).await? else { return Ok(false) };
    let last = Head::decode(&head_key, &head)?.last;
    let page = tx.scan(keys::log_events_between(store, position, last), STEP).await?;
    let is_end = page.len() < STEP;
    rule.position = if is_end { None } else { page.last().and_then(|(key, _)| keys::parse_log_sequence(key)) };
    let rules = [rule.followed()?];
    for (key, value) in page {
        let sequence = keys::parse_log_sequence(&key)
            .ok_or_else(|| malformed(&key, "the key of an event of an event store", "it does not end in a sequence"))?;
        let event = Event::decode(&key, sequence, value)?;
        if event.is_erased() {
            continue;
        }
        let metadata = event.metadata();
        let shown = Shown {
            store: name,
            sequence: event.sequence(),
            id: event.id(),
            subject: event.subject(),
            time: event.time().timestamp_micros(),
            version: event.version(),
            metadata: &metadata,
            codec: event.codec(),
            bytes: event.bytes(),
        };
        publish(tx, None, &rules, &shown).await?;
    }
    // Whoever erases writes it: nothing is published that was erased meanwhile.
    tx.lock_keys(vec![keys::log_tail(store)]).await?;
    if is_end {
        // From the next append on, appends publish: one that is under way and goes by the old definition meets a conflict.
        tx.lock_keys(vec![head_key]).await?;
    }
    tx.system_keys().put(key, definition.encode()?).await?;
    Ok(true)
}
