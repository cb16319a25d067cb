//! A step over history.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;
use tito_core::database::PageSize;
use tito_core::event::{Topic, topic_of};
use tito_core::{Result, Transaction};
use uuid::Uuid;

use super::letters::{cursor_of, put};
use super::row::{OperationRow, Progress};
use crate::again::Again;
use crate::history::PastWalk;
use crate::inspect::read_event;
use crate::keys;
use crate::place::{Kind, Place};
use crate::topics::check_group;

/// Makes some due again. `taken` are those that the queue had when this worker began.
pub(super) async fn replay(
    tx: &Transaction,
    row: &OperationRow,
    (from, into): (&str, &str),
    seconds: Range<i64>,
    in_order: bool,
    taken: &HashSet<Uuid>,
) -> Result<Progress> {
    let (topic_name, group) = topic_of(into);
    let topic = Topic::read(tx, topic_name).await?;
    check_group(&topic, topic_name, group)?;
    let after = row.cursor.as_ref().and_then(Value::as_str).map(str::as_bytes);
    let mut walk = PastWalk::new(Kind::Done, from, after);
    // What is done again while this runs must not come round for ever.
    let seconds = seconds.start..seconds.end.min(row.latest.saturating_add(1));
    let size = PageSize::within(tx.database().limits());
    let page = walk.page(tx, seconds, size).await?;
    let into = Arc::<str>::from(into);
    let (mut progress, mut chosen) = (Progress::default(), Vec::new());
    let room = row.room(10_000);
    let again = Again::Replayed { now: tx.now().seconds() };
    for (key, value) in page {
        if chosen.len() == room {
            break;
        }
        progress.searched += 1;
        progress.cursor = Some(cursor_of(&key));
        let event = read_event(&key, &value).filter(|event| !taken.contains(&event.id));
        let Some(event) = event else {
            progress.skipped += 1;
            continue;
        };
        // Published since.
        let place = Place::of(&again.applied_to(event.clone()), &topic);
        if tx.batch_get(vec![place.key(&into), keys::moved_event(&into, event.id)]).await?.iter().any(Option::is_some) {
            progress.skipped += 1;
            continue;
        }
        if event.owner.is_some() {
            // Whoever erases its owner meanwhile meets a conflict, and then finds what was replayed too.
            tx.lock_keys(vec![key]).await?;
        }
        chosen.push(event);
    }
    progress.done = chosen.len() as u64;
    put(tx, row, &into, &topic, chosen.into_iter(), in_order, again).await?;
    Ok(progress)
}
