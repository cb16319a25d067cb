//! A step over dead letters.

use std::sync::Arc;

use tito_core::event::{TitoEvent, Topic, topic_of};
use tito_core::{Result, Transaction};

use super::row::{OperationRow, Progress};
use super::step::Page;
use super::task::EventFilter;
use crate::again::{self, Again};
use crate::keys;
use crate::place::{Kind, Old, Place};
use crate::topics::check_group;

/// How far ahead dead letters are made due, in milliseconds: what an operation that is stopped has made due by then still
/// is.
const AHEAD_MILLIS: u64 = 10_000;

/// The event of a dead letter, where it is redriven; `None` of what is no event.
pub(super) fn redriven(key: &[u8], value: &[u8], latest: i64, letters: &EventFilter) -> Option<Option<TitoEvent>> {
    let (place, event) = (Place::parse(Kind::Dead, key)?, TitoEvent::decode(key, value).ok()?);
    // What fails for good meanwhile would keep this going for ever.
    let is_redriven = place.second <= latest && letters.chooses(&event, place.second);
    Some(is_redriven.then_some(event))
}

/// Whether a dead letter is deleted.
pub(super) fn is_purged(key: &[u8], value: &[u8], latest: i64, letters: &EventFilter) -> bool {
    match (Place::parse(Kind::Dead, key), TitoEvent::decode(key, value)) {
        (Some(place), _) if place.second > latest => false,
        (Some(place), Ok(event)) => letters.chooses(&event, place.second),
        _ => letters.is_all(),
    }
}

/// Makes some due again.
pub(super) async fn redrive(
    tx: &Transaction,
    row: &OperationRow,
    queue: &str,
    letters: &EventFilter,
    in_order: bool,
) -> Result<Progress> {
    let (topic_name, group) = topic_of(queue);
    let topic = Topic::read(tx, topic_name).await?;
    check_group(&topic, topic_name, group)?;
    let mut page = Page::read(tx, row, keys::dead_events(queue)).await?;
    let (mut chosen, mut skipped) = (Vec::new(), 0);
    let room = row.room(AHEAD_MILLIS);
    let mut searched = 0;
    while chosen.len() < room
        && let Some((key, value)) = page.next()
    {
        searched += 1;
        match redriven(&key, &value, row.latest, letters) {
            Some(event) => chosen.extend(event),
            None => skipped += 1,
        }
    }
    let cursor = page.cursor();
    put(
        tx,
        row,
        &Arc::from(queue),
        &topic,
        chosen.iter().cloned(),
        in_order,
        Again::Redriven { now: tx.now().seconds() },
    )
    .await?;
    Ok(Progress { done: chosen.len() as u64, searched, skipped, cursor })
}

/// Stores events that are to be handled again: in their old places, or from now on as the rate says.
pub(super) async fn put(
    tx: &Transaction,
    row: &OperationRow,
    queue: &Arc<str>,
    topic: &Topic,
    events: impl Iterator<Item = TitoEvent>,
    in_order: bool,
    again: Again,
) -> Result<()> {
    let mut events: Vec<_> = events.collect();
    if events.is_empty() {
        return Ok(());
    }
    // Whoever copies earlier events into a group may have passed the new places, and not yet the old ones.
    let is_copied = topic.groups.values().any(|group| group.copies_before.is_some());
    if in_order || is_copied {
        // Workers do not look where these are put.
        Topic::raise_revision(tx, topic_of(queue).0).await?;
    }
    events.sort_unstable_by_key(|event| (event.timestamp, event.id));
    let now = tx.now();
    for (nth, event) in events.into_iter().enumerate() {
        let old = matches!(again, Again::Redriven { .. }).then(|| event.key.clone());
        let mut event = again.applied_to(event);
        if !in_order {
            // Never before now, as workers' cursors count on it.
            let slot = i64::try_from(row.slot_millis(nth as u64, now).div_ceil(1_000)).unwrap_or(i64::MAX);
            event.timestamp = slot.clamp(now.seconds(), keys::MAX_EVENT_SECONDS);
        }
        again::put(tx, queue, topic, &event, old.as_deref().map(Old::kept)).await?;
    }
    Ok(())
}

/// Deletes some for good.
pub(super) async fn purge(
    tx: &Transaction,
    row: &OperationRow,
    queue: &str,
    letters: &EventFilter,
) -> Result<Progress> {
    let mut page = Page::read(tx, row, keys::dead_events(queue)).await?;
    let mut progress = Progress::default();
    let room = row.room(1_000) as u64;
    while progress.done < room
        && let Some((key, value)) = page.next()
    {
        progress.searched += 1;
        if is_purged(&key, &value, row.latest, letters) {
            tx.system_keys().delete(key).await?;
            progress.done += 1;
        }
    }
    progress.cursor = page.cursor();
    Ok(progress)
}
