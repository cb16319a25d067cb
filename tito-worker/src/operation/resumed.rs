//! A step over what a restore has paused.

use tito_core::database::{PageSize, Walk};
use tito_core::engine::Signal;
use tito_core::event::{Topic, topic_channel};
use tito_core::keys as core_keys;
use tito_core::row::StoredRow;
use tito_core::{Result, Transaction};

use super::cursor;
use super::row::{OperationRow, Progress};
use crate::keys;
use crate::schedule;

/// How many rows are looked at in one step, of how many bytes about.
const ROWS: usize = 200;
const BYTES: usize = 1 << 20;

/// Resumes some queues and schedules. Topics come first.
pub(super) async fn resume(tx: &Transaction, row: &OperationRow) -> Result<Progress> {
    let after = row.cursor.as_ref().and_then(cursor::key_of);
    let schedules = keys::schedules();
    let is_at_schedules = after.as_ref().is_some_and(|after| schedules.contains(after));
    let whole = if is_at_schedules { schedules.clone() } else { core_keys::topics() };
    let rest = after.as_ref().map_or(whole.clone(), |after| whole.after(after));
    let mut walk = Walk::over(rest).in_pages(PageSize::entries(ROWS).and_bytes(BYTES));
    let mut progress = Progress::default();
    let mut last: Option<Vec<u8>> = None;
    for (key, value) in walk.next_in(tx).await?.unwrap_or_default() {
        progress.searched += 1;
        let resumed = if is_at_schedules {
            schedule::resumed_from_restore(&key, &value).map(|value| value.map(|value| (value, 1)))
        } else {
            resumed_topic(tx, &key, &value)
        };
        match resumed {
            Ok(Some((value, count))) => {
                tx.system_keys().put(key.clone(), value).await?;
                progress.done += count;
            }
            Ok(None) => {}
            Err(error) => {
                tx.database().log_damaged(&error, "what a restore has paused can't be read and stays paused");
                progress.skipped += 1;
            }
        }
        last = Some(key);
    }
    progress.cursor = match (walk.is_over(), is_at_schedules) {
        (false, _) => last.as_deref().map(cursor::of_key),
        (true, false) => Some(cursor::of_key(&keys::schedule(""))),
        (true, true) => None,
    };
    Ok(progress)
}

/// The value of a topic whose queues go on, and how many that are; `None` where none does.
fn resumed_topic(tx: &Transaction, key: &[u8], value: &[u8]) -> Result<Option<(Vec<u8>, u64)>> {
    let Some(name) = core_keys::parse_topic(key) else { return Ok(None) };
    let mut topic = Topic::decode(key, value)?;
    let mut count = 0;
    if std::mem::take(&mut topic.paused_by_restore) {
        (topic.paused, topic.paused_until) = (false, None);
        count += 1;
    }
    for group in topic.groups.values_mut() {
        if std::mem::take(&mut group.paused_by_restore) {
            (group.paused, group.paused_until) = (false, None);
            count += 1;
        }
    }
    if count == 0 {
        return Ok(None);
    }
    topic.revision += 1;
    tx.signal(Signal { channel: topic_channel(&name).into(), number: 0, payload: Vec::new() });
    topic.encode().map(|value| Some((value, count)))
}
