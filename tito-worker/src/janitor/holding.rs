//! Which of many queues hold something that may have to be deleted, found for all of them together.

use std::collections::BTreeSet;
use std::sync::Arc;

use tito_core::database::{PageSize, Walk};
use tito_core::event::topic_of;
use tito_core::keys::KeyRange;
use tito_core::{Database, Result};

use super::STEP_PAUSE;
use crate::keys;
use crate::place::Kind;

/// Those of the queues that have dead letters, a history, unique events or notes of moved events. Costs a scan of one row
/// for each of these kinds, and one more for each queue that has some, where a look at a queue takes several whether it
/// has any or not.
pub(super) async fn holding<'a>(database: &Database, queues: &'a [Arc<str>]) -> Result<BTreeSet<&'a str>> {
    let of_a_queue: [fn(&str) -> KeyRange; 4] = [
        |queue| Kind::Dead.of_queue(queue),
        |queue| Kind::Done.of_queue(queue),
        // The topic's, for all of its queues.
        |queue| keys::unique_events(topic_of(queue).0),
        keys::moved_events,
    ];
    let mut found = BTreeSet::new();
    for range in of_a_queue {
        let mut ranges: Vec<_> = queues.iter().map(|queue| (range(queue), &**queue)).collect();
        ranges.sort_unstable_by(|(left, _), (right, _)| left.start.cmp(&right.start));
        add_those_with_rows(database, &ranges, &mut found).await?;
    }
    Ok(found)
}

/// Adds those whose ranges have rows. The ranges are sorted, and any two are the same or have nothing in common.
async fn add_those_with_rows<'a>(
    database: &Database,
    ranges: &[(KeyRange, &'a str)],
    found: &mut BTreeSet<&'a str>,
) -> Result<()> {
    let (Some((first, _)), Some((last, _))) = (ranges.first(), ranges.last()) else { return Ok(()) };
    let all = KeyRange { start: first.start.clone(), end: last.end.clone() };
    let mut walk = Walk::over(all).in_pages(PageSize::entries(1));
    while let Some((page, _)) = walk.next(database).await? {
        let Some((key, _)) = page.first() else { break };
        let behind = ranges.partition_point(|(range, _)| range.start <= *key);
        let with_it = ranges[..behind].iter().rev().take_while(|(range, _)| range.contains(key));
        found.extend(with_it.map(|(_, queue)| *queue));
        let Some((next, _)) = ranges.get(behind) else { break };
        walk.skip_to(next.start.clone());
        tokio::time::sleep(STEP_PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tito_core::embedded::EmbeddedBackend;
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn queues_with_something_are_found_whatever_it_is() {
        let db = EmbeddedBackend::in_memory().await.unwrap();
        let names = ["a", "a@g", "ab", "b", "c", "c@g", "c@h", "d", "e", "empty", "f"];
        let queues: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
        assert!(holding(&db, &queues).await.unwrap().is_empty());
        let rows = [
            keys::dead_event("a@g", 3, 1, Uuid::nil()),
            keys::dead_event("a@g", 4, 1, Uuid::nil()),
            keys::done_event("b", 0, 1, Uuid::nil()),
            keys::unique_event("c", "once"),
            keys::moved_event("e", Uuid::nil()),
            // Of queues that this worker does not serve.
            keys::dead_event("aa", 0, 1, Uuid::nil()),
            keys::done_event("d@g", 0, 1, Uuid::nil()),
            keys::unique_event("g", "once"),
            // To be handled: not a matter of a sweep.
            keys::event("empty", 0, 1, Uuid::nil()),
        ];
        let tx = db.begin().await.unwrap();
        for row in rows {
            tx.system_keys().put(row, Vec::new()).await.unwrap();
        }
        tx.commit().await.unwrap();
        let expected = BTreeSet::from(["a@g", "b", "c", "c@g", "c@h", "e"]);
        assert_eq!(holding(&db, &queues).await.unwrap(), expected);
        assert!(holding(&db, &[]).await.unwrap().is_empty());
    }
}
