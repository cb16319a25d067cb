//! Whether something of a selection was dropped.

use tito_core::{DatabaseSnapshot, Result, Transaction};

use crate::keys;
use crate::log::{Last, Tail};
use crate::pattern::Pattern;

/// The last sequence that may have been dropped of what each pattern selects; 0 where nothing was.
///
/// Of an entity or a type that is known: what was dropped since programs note it. Of what was dropped before, all that is
/// known is which the last event of it was, and the first one if that was appended by a program that notes it.
pub(crate) async fn lost_of(tx: &Transaction, store: u64, patterns: &[Pattern], tail: Tail) -> Result<Vec<u64>> {
    if tail.dropped == 0 {
        return Ok(vec![0; patterns.len()]);
    }
    let keys = keys_of(store, patterns);
    let values = tx.batch_get(keys.clone()).await?;
    by_values(patterns, &tail, &keys, values)
}

/// The same, as a snapshot of the database has it.
pub(crate) async fn lost_at(
    snapshot: &DatabaseSnapshot,
    store: u64,
    patterns: &[Pattern],
    tail: &Tail,
) -> Result<Vec<u64>> {
    if tail.dropped == 0 {
        return Ok(vec![0; patterns.len()]);
    }
    let keys = keys_of(store, patterns);
    let values = snapshot.batch_get(keys.clone()).await?;
    by_values(patterns, tail, &keys, values)
}

/// Two for each pattern that names a type.
fn keys_of(store: u64, patterns: &[Pattern]) -> Vec<Vec<u8>> {
    let keys_of = |pattern: &Pattern| match (pattern.entity_type(), pattern.id()) {
        (Some(of_type), Some(id)) => {
            vec![keys::log_last_of_entity(store, of_type, id), keys::log_gone_of_entity(store, of_type, id)]
        }
        (Some(of_type), None) => vec![keys::log_last_of_type(store, of_type), keys::log_gone_of_type(store, of_type)],
        (None, _) => Vec::new(),
    };
    patterns.iter().flat_map(keys_of).collect()
}

fn by_values(patterns: &[Pattern], tail: &Tail, keys: &[Vec<u8>], values: Vec<Option<Vec<u8>>>) -> Result<Vec<u64>> {
    let mut read = keys.iter().zip(values);
    let mut lost = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        if pattern.entity_type().is_none() {
            lost.push(tail.dropped);
            continue;
        }
        let (last, gone) = (read.next(), read.next());
        let last = match last {
            Some((key, Some(value))) => Last::decode(key, &value)?,
            // There never was an event of it.
            _ => Last::default(),
        };
        let gone = match gone {
            Some((key, Some(value))) => Last::decode(key, &value)?.of(pattern.event_type()),
            _ => 0,
        };
        let not_noted = tail.noted_after.unwrap_or(tail.dropped);
        let began_later = last.first().is_some_and(|first| first > not_noted);
        let lost_of_it = if began_later { gone } else { gone.max(not_noted) };
        lost.push(lost_of_it.min(last.of(pattern.event_type())).min(tail.dropped));
    }
    Ok(lost)
}
