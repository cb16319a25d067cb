//! Writes what appends have come to.

use tito_core::Transaction;
use tito_core::engine::Signal;
use tito_core::row::{self, StoredRow};

use super::known::Entry;
use super::prepared::Prepared;
use super::state::State;
use crate::error::Result;
use crate::keys;
use crate::log::{CommandMark, Definition, Last, Log, wake};
use crate::republish::{self, Rule, Shown};

/// An event and the sequence that it got.
pub(super) type New<'a> = (u64, &'a Prepared);

/// Writes new events, in the order of their sequences, and everything that was changed by them.
pub(super) async fn write(
    log: &Log,
    tx: &Transaction,
    definition: &Definition,
    state: &mut State<'_>,
    new: &[New<'_>],
    commands: &[&CommandMark],
) -> Result<()> {
    if new.is_empty() && commands.is_empty() {
        return Ok(());
    }
    // All of it enters the transaction, which may be the application's, or nothing.
    let call = tx.nested();
    let tx = &call;
    for (sequence, event) in new {
        let value = event.encode(tx.start_timestamp());
        state.head.bytes = state.head.bytes.saturating_add(value.len() as u64);
        state.head.largest = state.head.largest.max(value.len() as u64);
        let (entity_type, id) = (event.entity_type(), event.entity_id());
        tx.system_keys().put(keys::log_entity_event(log.id(), entity_type, id, *sequence), value.clone()).await?;
        tx.system_keys().put(keys::log_event(log.id(), *sequence), value).await?;
        tx.system_keys().put(keys::log_id(log.id(), &event.id), row::encode("a sequence", sequence)?).await?;
    }
    for command in commands {
        if let Some(decided) = state.commands.get(&*command.id) {
            tx.system_keys().put(keys::log_command(log.id(), &command.id), decided.encode()?).await?;
        }
    }
    for (_, event) in new {
        let (entity_type, id) = (event.entity_type(), event.entity_id());
        if let Some(last) = changed(state.known.entities.get_mut(event.entity())) {
            tx.system_keys().put(keys::log_last_of_entity(log.id(), entity_type, id), last.encode()?).await?;
        }
        if let Some(last) = changed(state.known.types.get_mut(entity_type)) {
            tx.system_keys().put(keys::log_last_of_type(log.id(), entity_type), last.encode()?).await?;
        }
    }
    state.known.head = state.head.last;
    tx.system_keys().put(keys::log_head(log.id()), state.head.encode()?).await?;
    publish(log, tx, definition, new).await?;
    if let Some((first, _)) = new.first() {
        let key = keys::log_event(log.id(), *first);
        tx.signal(Signal { channel: log.channel().clone(), number: 0, payload: key });
    }
    Ok(call.merge()?)
}

/// Publishes to the outbox what was appended, and wakes projections.
async fn publish(log: &Log, tx: &Transaction, definition: &Definition, new: &[New<'_>]) -> Result<()> {
    let rules = definition.republishing.iter().filter(|rule| rule.is_caught_up());
    let rules = rules.map(Rule::followed).collect::<Result<Vec<_>>>()?;
    let to_all = definition.republish.as_deref().map(|topic| (topic, definition.republish_owned));
    if to_all.is_some() || !rules.is_empty() {
        for (sequence, event) in new {
            let shown = Shown {
                store: log.name(),
                sequence: *sequence,
                id: &event.id,
                subject: event.subject(),
                time: event.time,
                version: event.data.version,
                metadata: &event.metadata,
                codec: event.data.codec,
                bytes: &event.data.bytes,
            };
            republish::publish(tx, to_all, &rules, &shown).await?;
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    for projection in &definition.projections {
        wake(tx, log.name(), projection).await?;
    }
    Ok(())
}

/// The last sequences that have to be written, the first time that they are asked for.
fn changed(entry: Option<&mut Entry>) -> Option<&Last> {
    let entry = entry?;
    std::mem::take(&mut entry.is_changed).then_some(&entry.last)
}
