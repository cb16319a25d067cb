//! Counts of events, which stop at a bound.

use std::collections::BTreeMap;

use tito_core::database::{PageSize, Walk};
use tito_core::engine::Direction;
use tito_core::event::due_second;
use tito_core::keys::KeyRange;
use tito_core::{Database, Now, Result};

use crate::keys;

/// How many rows are read at once.
const PAGE: usize = 200;

/// And how many bytes of them, at a snapshot.
const PAGE_BYTES: usize = 1 << 20;

/// A partition that holds events, and when the first of them is due, in Unix seconds.
pub(super) type First = (u16, i64);

/// How much is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) count: u64,
    /// Whether there may be more.
    pub(super) at_least: bool,
    /// The second at which the one fell due that fell due first.
    pub(super) oldest: Option<i64>,
}

impl Counted {
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.at_least |= other.at_least;
        self.oldest = self.oldest.into_iter().chain(other.oldest).min();
    }
}

/// Counts all events of a queue for its tally, of which commits keep it from then on, if there are at most so many. Returns
/// whether it is known then: not where somebody else is at it, or something has changed, nobody knows what.
pub(super) async fn count_all(database: &Database, queue: &str, most: usize) -> Result<bool> {
    let Some(mut count) = database.pending_tally(queue).count() else { return Ok(false) };
    let snapshot = database.snapshot().await?;
    count.at(snapshot.timestamp());
    let (mut rest, mut left) = (keys::events_of_queue(queue), most);
    loop {
        let page = PageSize::entries(PAGE.min(left)).and_bytes(PAGE_BYTES);
        let page = snapshot.next_page(rest.clone(), Direction::Ascending, page).await?;
        let Some((last, _)) = page.last() else { break };
        page.iter().for_each(|(key, value)| count.add(due_second(key, value)));
        rest = rest.after(last);
        left -= page.len();
        if left == 0 {
            return Ok(false);
        }
        // What is in memory is read at once: others of the runtime have their turn between two pages.
        tokio::task::yield_now().await;
    }
    snapshot.release().await?;
    Ok(count.finish())
}

/// The partitions in a range that hold events, of wanted queues, and whether these are all. Costs a scan of one row for
/// each, and for each queue that is not wanted and holds events.
pub(super) async fn firsts(
    database: &Database,
    range: KeyRange,
    most: usize,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<(BTreeMap<String, Vec<First>>, bool)> {
    let mut walk = Walk::over(range).in_pages(PageSize::entries(1));
    let mut found: BTreeMap<String, Vec<First>> = BTreeMap::new();
    for _ in 0..most {
        let Some((page, _)) = walk.next(database).await? else { break };
        let Some((key, value)) = page.into_iter().next() else { break };
        let Some(place) = keys::parse_event(&key) else { continue };
        let passed = if is_wanted(&place.queue) {
            let due = due_second(&key, &value);
            found.entry(place.queue.clone()).or_default().push((place.partition, due));
            keys::events_of_partition(&place.queue, place.partition)
        } else {
            keys::events_of_queue(&place.queue)
        };
        if let Some(end) = passed.end {
            walk.skip_to(end);
        }
    }
    Ok((found, walk.is_over()))
}

/// Counts what is due in a partition, of so many rows at most, which it takes away from those that are left.
pub(super) async fn count_partition(
    database: &Database,
    queue: &str,
    (partition, first): First,
    now: Now,
    left: &mut usize,
) -> Result<Counted> {
    let now = now.seconds();
    let mut counted = Counted { oldest: Some(first).filter(|first| *first <= now), ..Counted::default() };
    let start = keys::events_of_partition(queue, partition).start;
    let mut rest = KeyRange::new(start, keys::events_from_second(queue, partition, now.saturating_add(1)));
    while !rest.is_empty() {
        if *left == 0 {
            counted.at_least = true;
            break;
        }
        let entries = PAGE.min(*left);
        let mut walk = Walk::over(rest.clone()).in_pages(PageSize::entries(entries));
        let Some((page, _)) = walk.next(database).await? else { break };
        for due in page.iter().map(|(key, value)| due_second(key, value)).filter(|due| *due <= now) {
            counted.add(Counted { count: 1, at_least: false, oldest: Some(due) });
        }
        *left -= page.len();
        match page.last().filter(|_| page.len() == entries) {
            Some((last, _)) => rest = rest.after(last),
            None => break,
        }
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tito_core::Transaction;
    use tito_core::embedded::EmbeddedBackend;
    use uuid::Uuid;

    use super::*;

    const ROWS: usize = 10 * PAGE;

    #[tokio::test]
    async fn a_count_gives_way_to_others_after_each_page() {
        let database = EmbeddedBackend::in_memory().await.unwrap();
        let putting = |tx: Transaction| async move {
            for number in 0..ROWS {
                tx.system_keys()
                    .put(keys::event("mail", 0, 1, Uuid::from_u128(number as u128)), b"{}".to_vec())
                    .await?;
            }
            Ok(())
        };
        database.transaction(putting).await.unwrap();
        let mut counting = std::pin::pin!(count_all(&database, "mail", usize::MAX));
        let mut gave_way = 0;
        let is_known = loop {
            match futures::poll!(counting.as_mut()) {
                std::task::Poll::Ready(is_known) => break is_known.unwrap(),
                std::task::Poll::Pending => gave_way += 1,
            }
        };
        assert!(is_known);
        assert!(gave_way >= ROWS / PAGE, "{gave_way} times");
        assert_eq!(database.pending_tally("mail").up_to(1).unwrap().count, ROWS as u64);
    }
}
