//! Publishes, by a rule, events that were appended before the rule.

use tito_core::database::{PageSize, Walk};
use tito_core::row::{StoredRow, malformed};
use tito_core::{Database, TitoError, Transaction, TxOptions};

use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::keys;
use crate::log::{Definition, Head};
use crate::republish::{Republish, Shown, publish};

/// How many events a step goes over at most, so that it is not a burden to appends.
const STEP: usize = 100;

/// What a store shows of an error in characters, at the most.
const LONGEST_FAILURE: usize = 1_000;

/// Publishes, by the rules of a store that have not caught up, what was appended before them. A rule that can't go on is
/// not in the way of the others: the first error is returned in the end.
///
/// # Errors
/// That of an event that is damaged or can't be published: the rule stays before it, and says so. Those of the engine.
pub(crate) async fn catch_up(database: &Database, name: &str) -> Result<()> {
    let mut outcome = Ok(());
    for rule in behind(database, name).await? {
        let Err(error) = follow(database, name, &rule).await else { continue };
        if error.is_engine_failure() {
            return Err(error);
        }
        if error.is_of_the_call() {
            note(database, name, &rule, &error).await?;
        }
        outcome = outcome.and(Err(error));
    }
    outcome
}

/// The rules of a store that have not caught up.
async fn behind(database: &Database, name: &str) -> Result<Vec<Republish>> {
    let (tx, key) = (database.begin().await?, keys::event_store(name));
    let stored = tx.get(&key).await;
    tx.rollback().await;
    let Some(stored) = stored? else { return Ok(Vec::new()) };
    let rules = Definition::decode(&key, &stored)?.republishing;
    Ok(rules.iter().filter(|rule| !rule.is_caught_up()).map(|rule| rule.info().rule).collect())
}

/// Goes by a rule until it has caught up. A step that fails is taken apart: what comes before the event that is at fault
/// is published first.
async fn follow(database: &Database, name: &str, rule: &Republish) -> Result<()> {
    let mut most = STEP;
    loop {
        match step(database, name, rule, most).await {
            Ok(true) => most = (most * 2).min(STEP),
            Ok(false) => return Ok(()),
            Err(error) if most > 1 && !error.is_engine_failure() => most /= 2,
            Err(error) => return Err(error),
        }
    }
}

/// Notes why a rule can't go on, where whoever looks at the store sees it.
async fn note(database: &Database, name: &str, rule: &Republish, error: &EventStoreError) -> Result<()> {
    let failure: String = error.to_string().chars().take(LONGEST_FAILURE).collect();
    let run = (name.to_string(), rule.clone(), failure);
    let note = |tx: Transaction| async move {
        let (name, rule, failure) = run;
        let key = keys::event_store(&name);
        let Some(stored) = tx.get(&key).await? else { return Ok(()) };
        let mut definition = Definition::decode(&key, &stored)?;
        let known = definition.republishing.iter_mut().find(|known| !known.is_caught_up() && known.is(&rule));
        if let Some(known) = known.filter(|known| known.failure.as_ref() != Some(&failure)) {
            known.failure = Some(failure);
            tx.system_keys().put(key, definition.encode()?).await?;
        }
        Ok::<_, EventStoreError>(())
    };
    database.transaction_with(TxOptions::default(), note).await
}

/// Publishes some, and says whether there may be more.
async fn step(database: &Database, name: &str, rule: &Republish, most: usize) -> Result<bool> {
    let run = (name.to_string(), rule.clone());
    let step = |tx: Transaction| async move { step_in(&tx, &run.0, &run.1, most).await };
    database.transaction_with(TxOptions::default(), step).await
}

async fn step_in(tx: &Transaction, name: &str, rule: &Republish, most: usize) -> Result<bool> {
    let key = keys::event_store(name);
    let Some(stored) = tx.get(&key).await? else { return Ok(false) };
    let mut definition = Definition::decode(&key, &stored)?;
    let store = definition.id;
    let mut known = definition.republishing.iter_mut().filter(|known| known.is(rule));
    let behind = known.find_map(|rule| Some((rule.position?, rule)));
    let Some((position, rule)) = behind else { return Ok(false) };
    let head_key = keys::log_head(store);
    let Some(head) = tx.get(&head_key).await? else { return Ok(false) };
    let last = Head::decode(&head_key, &head)?.last;
    // What is published is about as large as what is stored, and once more for each group.
    let size = PageSize::entries(most).and_bytes(tx.database().limits().transaction_bytes / 4);
    let mut walk = Walk::over(keys::log_events_between(store, position, last)).in_pages(size);
    let page = walk.next_in(tx).await?.unwrap_or_default();
    let reached = page.last().map(|(key, _)| keys::parse_log_sequence(key).ok_or_else(|| no_sequence(key)));
    let reached = reached.transpose()?.filter(|reached| *reached < last);
    let is_end = reached.is_none();
    (rule.position, rule.failure) = (reached, None);
    let rules = [rule.followed()?];
    for (key, value) in page {
        let sequence = keys::parse_log_sequence(&key).ok_or_else(|| no_sequence(&key))?;
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

fn no_sequence(key: &[u8]) -> TitoError {
    malformed(key, "the key of an event of an event store", "it does not end in a sequence")
}
