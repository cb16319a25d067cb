//! A step over history.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use tito_core::database::PageSize;
use tito_core::event::{Topic, topic_of};
use tito_core::{Database, Result, Transaction};
use uuid::Uuid;

use super::cursor;
use super::letters::put;
use super::row::{OperationRow, Progress};
use crate::again::Again;
use crate::history::{PastWalk, pending_ids};
use crate::inspect::read_event;
use crate::keys;
use crate::moved::Moved;
use crate::place::{Kind, Place};
use crate::topics::check_group;

/// What is not replayed, as a worker finds it before its first step. It is kept in memory meanwhile.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What is to be done in the queue anyway.
    pending: HashSet<Uuid>,
    /// What was done more than once, and the last row of each: another worker may have replayed it for an earlier row.
    last: HashMap<Uuid, (i64, u16)>,
}

impl Taken {
    /// Reads what the queue holds, and the history that is replayed.
    pub(super) async fn read(
        database: &Database,
        row: &OperationRow,
        (from, into): (&str, &str),
        seconds: Range<i64>,
    ) -> Result<Self> {
        let pending = pending_ids(database, into).await?;
        let seconds = seconds_of(row, seconds);
        let mut last = HashMap::<Uuid, ((i64, u16), bool)>::new();
        let mut walk = PastWalk::new(Kind::Done, from, None);
        loop {
            let (before, seconds) = (walk.clone(), seconds.clone());
            let read = database.transaction(|tx| {
                let (mut walk, seconds) = (before.clone(), seconds.clone());
                async move {
                    let size = PageSize::within(tx.database().limits());
                    let page = walk.page(&tx, seconds, size).await?;
                    let places = page.iter().filter_map(|(key, _)| Place::parse(Kind::Done, key));
                    Ok((places.collect::<Vec<_>>(), page.is_empty(), walk))
                }
            });
            let (places, is_over, after) = Box::pin(read).await?;
            walk = after;
            for place in places {
                let at = (place.second, place.partition);
                let is_again = last.get(&place.id).map(|(before, _)| *before);
                last.insert(place.id, (is_again.map_or(at, |before| before.max(at)), is_again.is_some()));
            }
            if is_over {
                break;
            }
        }
        let again = last.into_iter().filter(|(_, (_, is_again))| *is_again);
        Ok(Self { pending, last: again.map(|(id, (at, _))| (id, at)).collect() })
    }

    /// Adds what was replayed.
    pub(super) fn extend(&mut self, ids: Vec<Uuid>) {
        self.pending.extend(ids);
    }

    fn has(&self, place: Place) -> bool {
        let is_earlier = |last: &(i64, u16)| *last > (place.second, place.partition);
        self.pending.contains(&place.id) || self.last.get(&place.id).is_some_and(is_earlier)
    }
}

/// What is done again while this runs must not come round for ever.
fn seconds_of(row: &OperationRow, seconds: Range<i64>) -> Range<i64> {
    seconds.start..seconds.end.min(row.latest.saturating_add(1))
}

/// Makes some due again, and returns their ids too.
pub(super) async fn replay(
    tx: &Transaction,
    row: &OperationRow,
    (from, into): (&str, &str),
    seconds: Range<i64>,
    in_order: bool,
    taken: &Taken,
) -> Result<(Progress, Vec<Uuid>)> {
    let (topic_name, group) = topic_of(into);
    let topic = Topic::read(tx, topic_name).await?;
    check_group(&topic, topic_name, group)?;
    let after = row.cursor.as_ref().and_then(cursor::key_of);
    let mut walk = PastWalk::new(Kind::Done, from, after.as_deref());
    let size = PageSize::within(tx.database().limits());
    let page = walk.page(tx, seconds_of(row, seconds), size).await?;
    let into = Arc::<str>::from(into);
    let (mut progress, mut chosen, mut ids) = (Progress::default(), Vec::new(), Vec::new());
    let room = row.room(10_000);
    let again = Again::Replayed { now: tx.now().seconds() };
    for (key, value) in page {
        if chosen.len() == room {
            break;
        }
        progress.searched += 1;
        progress.cursor = Some(cursor::of_key(&key));
        let place = Place::parse(Kind::Done, &key).filter(|place| !taken.has(*place) && !ids.contains(&place.id));
        let event = place.and_then(|_| read_event(&key, &value));
        let Some(event) = event else {
            progress.skipped += 1;
            continue;
        };
        // Published or replayed since.
        let place = Place::of(&again.applied_to(event.clone()), &topic);
        if is_pending(tx, &into, place).await? {
            progress.skipped += 1;
            continue;
        }
        if event.owner.is_some() {
            // Whoever erases its owner meanwhile meets a conflict, and then finds what was replayed too.
            tx.lock_keys(vec![key]).await?;
        }
        ids.push(event.id);
        chosen.push(event);
    }
    progress.done = chosen.len() as u64;
    put(tx, row, &into, &topic, chosen.into_iter(), in_order, again).await?;
    Ok((progress, ids))
}

/// Whether an event is to be done, where it would be put or where it is noted to have been moved. The note alone says
/// nothing, as what is done leaves it.
async fn is_pending(tx: &Transaction, queue: &str, place: Place) -> Result<bool> {
    let mut found = tx.batch_get(vec![place.key(queue), keys::moved_event(queue, place.id)]).await?;
    let note = found.pop().flatten();
    if found.pop().flatten().is_some() {
        return Ok(true);
    }
    let moved = note.and_then(|note| Moved::read(tx.database(), queue, place.id, &note));
    let Some((partition, second)) = moved else { return Ok(false) };
    Ok(tx.get(&Place { partition, second, ..place }.key(queue)).await?.is_some())
}
