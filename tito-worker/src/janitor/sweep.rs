//! One sweep of a queue, step by step.

use std::ops::{AddAssign, Range};

use serde::Serialize;
use tito_core::database::{PageSize, Walk};
use tito_core::event::{Topic, topic_of};
use tito_core::row::StoredRow;
use tito_core::{Database, Result, TitoError, Transaction, TxOptions};

use super::surplus::{MANY_DEAD, Next, Row, Surplus, row_of};
use crate::error::QueueError;
use crate::history::PastWalk;
use crate::keys;
use crate::moved::Moved;
use crate::place::Kind;
use crate::queue::TitoQueue;
use crate::unique::UniqueRow;

/// How often dead letters are counted that are not limited, and how often they are warned of.
const COUNT_EVERY_MILLIS: u64 = 600_000;
const WARN_EVERY_MILLIS: u64 = 3_600_000;

/// What a sweep deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Swept {
    /// Finished events that were too old for their topic's history, or too many for it.
    pub done: u64,
    /// Dead letters, likewise.
    pub dead: u64,
    /// Keys of unique events whose window has ended.
    pub unique: u64,
    /// Notes of moved events that no longer exist.
    pub moved: u64,
}

impl Swept {
    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Swept {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.dead += other.dead;
        self.unique += other.unique;
        self.moved += other.moved;
    }
}

impl TitoQueue {
    /// Deletes, by the engine's time, what a queue has kept long enough: finished events older than the topic's
    /// history, the keys of the topic's unique events whose window has ended, and notes of moved events that are gone.
    /// Works in transactions of at most 200 keys; if one conflicts with another transaction, the rest is left to the
    /// next sweep.
    ///
    /// A running [`Worker`](crate::Worker) does this by itself, about every 30 s for each of its queues. It is for
    /// programs without one.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`], [`QueueError::UnknownTopic`], [`QueueError::UnknownGroup`], and those of the engine; what was deleted by then stays deleted.
    pub async fn sweep_once(&self, queue: &str) -> Result<Swept, QueueError> {
        self.existing(queue).await?;
        let mut sweep = Sweep::new(queue);
        let mut total = Swept::default();
        while let Some(swept) = sweep.step(&self.engine).await? {
            total += swept;
        }
        Ok(total)
    }
}

/// A sweep under way.
pub(super) struct Sweep {
    queue: String,
    /// What is too old, of the history and of the dead letters.
    old: Vec<(Kind, PastWalk)>,
    /// What there is too much of.
    surplus: Vec<Surplus>,
    /// When the dead letters are counted next to warn of them, by the monotonic clock.
    counts_dead_at_millis: u64,
    unique: Option<Walk>,
    moved: Option<Walk>,
}

impl Sweep {
    pub(super) fn new(queue: &str) -> Self {
        let unique = Walk::over(keys::unique_events(topic_of(queue).0));
        let moved = Walk::over(keys::moved_events(queue));
        let kinds = [Kind::Dead, Kind::Done];
        Self {
            queue: queue.to_string(),
            old: kinds.map(|kind| (kind, PastWalk::new(kind, queue, None))).into(),
            surplus: kinds.map(|kind| Surplus::new(kind, queue)).into(),
            counts_dead_at_millis: 0,
            unique: Some(unique),
            moved: Some(moved),
        }
    }

    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    /// Whether it counts, and is not to be ended for want of something to delete.
    pub(super) fn is_counting(&self) -> bool {
        self.old.is_empty() && !self.surplus.is_empty()
    }

    /// Begins anew with what is too old, which takes two scans a partition where there is nothing to delete, and with what is
    /// counted, the unique events and the notes once all of them were looked at, however long that takes.
    pub(super) fn look_again(&mut self) {
        let anew = Self::new(&self.queue);
        self.old = anew.old;
        if self.surplus.is_empty() {
            self.surplus = anew.surplus;
        }
        self.unique = self.unique.take().or(anew.unique);
        self.moved = self.moved.take().or(anew.moved);
    }

    /// One transaction, and what it deleted; `None` at the end.
    pub(super) async fn step(&mut self, database: &Database) -> Result<Option<Swept>> {
        if let Some((kind, walk)) = self.old.pop() {
            let (step, rest) = given_way(sweep_old(database, kind, &self.queue, walk).await)?;
            self.old.extend(rest.map(|rest| (kind, rest)));
            return Ok(Some(swept(kind, step)));
        }
        if let Some(surplus) = self.surplus.pop() {
            return self.step_surplus(database, surplus).await.map(Some);
        }
        if let Some(walk) = self.unique.take() {
            let (step, rest) = given_way(sweep_unique(database, walk).await)?;
            self.unique = rest;
            return Ok(Some(Swept { unique: step, ..Swept::default() }));
        }
        if let Some(walk) = self.moved.take() {
            let (step, rest) = given_way(sweep_moved(database, &self.queue, walk).await)?;
            self.moved = rest;
            return Ok(Some(Swept { moved: step, ..Swept::default() }));
        }
        Ok(None)
    }
}

impl Sweep {
    /// Counts a page of what there may be too much of, or deletes one.
    async fn step_surplus(&mut self, database: &Database, mut surplus: Surplus) -> Result<Swept> {
        let (kind, topic_name) = (surplus.kind(), topic_of(&self.queue).0);
        let deleted = match surplus.next() {
            Next::Nothing => return Ok(Swept::default()),
            Next::Count(mut walk) => {
                let clock_millis = database.clock().monotonic_millis();
                let topic = Topic::find_cached(database, topic_name).await?;
                let most = topic.and_then(|topic| surplus.most(&topic));
                // What is limited was meant to be as many.
                let warns = kind == Kind::Dead && most.is_none() && clock_millis >= self.counts_dead_at_millis;
                if most.is_none() && !warns {
                    return Ok(Swept::default());
                }
                let page = walk.next(database).await?.map_or_else(Vec::new, |(page, _)| page);
                let total = surplus.count(page.iter().map(|(key, _)| key.as_slice()), walk, most);
                if let Some(total) = total.filter(|_| warns) {
                    let is_many = total > MANY_DEAD;
                    self.counts_dead_at_millis =
                        clock_millis + if is_many { WARN_EVERY_MILLIS } else { COUNT_EVERY_MILLIS };
                    if is_many {
                        tracing::warn!(
                            queue = self.queue,
                            more_than = MANY_DEAD,
                            "a queue has many dead letters, which nobody redrives, purges, or limits in number"
                        );
                    }
                }
                0
            }
            Next::Find(mut walk, seconds) => {
                let tx = database.begin().await?;
                let page = walk.page(&tx, seconds, PageSize::within(database.limits())).await;
                tx.rollback().await;
                surplus.found(page?.iter().map(|(key, _)| key.as_slice()), walk);
                0
            }
            Next::Delete(walk, seconds, up_to) => {
                let delete = |tx: Transaction| async move {
                    let mut walk = walk;
                    let (read, deleted) = delete_page(&tx, &mut walk, seconds, up_to).await?;
                    Ok((deleted, Some((read == 0, walk))))
                };
                match given_way(database.transaction_with(once(), delete).await)? {
                    (deleted, Some((is_over, rest))) => {
                        surplus.deleted(is_over, rest);
                        deleted
                    }
                    // To the next look, which counts anew.
                    (_, None) => return Ok(Swept::default()),
                }
            }
        };
        self.surplus.push(surplus);
        Ok(swept(kind, deleted))
    }
}

/// Where another transaction was in the way, the rest is left to the next sweep.
fn given_way<T>(step: Result<(u64, Option<T>)>) -> Result<(u64, Option<T>)> {
    match step {
        Err(TitoError::RetriesExhausted { .. }) => Ok((0, None)),
        step => step,
    }
}

fn once() -> TxOptions {
    TxOptions::default().max_attempts(1)
}

fn swept(kind: Kind, rows: u64) -> Swept {
    match kind {
        Kind::Done => Swept { done: rows, ..Swept::default() },
        Kind::Dead => Swept { dead: rows, ..Swept::default() },
        Kind::Pending => unreachable!("what is to be handled is not swept"),
    }
}

async fn sweep_old(database: &Database, kind: Kind, queue: &str, walk: PastWalk) -> Result<(u64, Option<PastWalk>)> {
    database
        .transaction_with(once(), |tx: Transaction| async move {
            let topic = Topic::read(&tx, topic_of(queue).0).await?;
            let kept = match kind {
                Kind::Dead if topic.dead_letter_seconds == 0 => return Ok((0, None)),
                Kind::Dead => topic.dead_letter_seconds,
                Kind::Done | Kind::Pending => topic.history_seconds,
            };
            let first_kept = tx.now().seconds().saturating_sub_unsigned(kept).max(0);
            let mut walk = walk;
            let (_, deleted) = delete_page(&tx, &mut walk, 0..first_kept, None).await?;
            Ok((deleted, (deleted > 0).then_some(walk)))
        })
        .await
}

/// Reads the next page of what has come to its end in some seconds, and deletes of it what lies up to a row. Says how much
/// it has read and deleted.
async fn delete_page(
    tx: &Transaction,
    walk: &mut PastWalk,
    seconds: Range<i64>,
    up_to: Option<Row>,
) -> Result<(u64, u64)> {
    let page = walk.page(tx, seconds, PageSize::within(tx.database().limits())).await?;
    let (read, mut deleted) = (page.len() as u64, 0);
    for (key, _) in page {
        if up_to.is_none_or(|last| row_of(&key).is_some_and(|row| row <= last)) {
            tx.system_keys().delete(key).await?;
            deleted += 1;
        }
    }
    Ok((read, deleted))
}

async fn sweep_unique(database: &Database, walk: Walk) -> Result<(u64, Option<Walk>)> {
    database
        .transaction_with(once(), |tx: Transaction| async move {
            let mut walk = walk;
            let now = tx.now().seconds();
            let mut deleted = 0;
            for (key, value) in walk.next_in(&tx).await?.unwrap_or_default() {
                match UniqueRow::decode(&key, &value) {
                    Ok(row) if row.is_in_force(now) => {}
                    Ok(_) => {
                        tx.system_keys().delete(key).await?;
                        deleted += 1;
                    }
                    Err(error) => database.log_damaged(&error, "left as it is"),
                }
            }
            Ok((deleted, (!walk.is_over()).then_some(walk)))
        })
        .await
}

/// Deletes the notes of events that are not where these say: whoever moves one again meets a conflict.
async fn sweep_moved(database: &Database, queue: &str, walk: Walk) -> Result<(u64, Option<Walk>)> {
    database
        .transaction_with(once(), |tx: Transaction| async move {
            let mut walk = walk;
            let (mut notes, mut places) = (Vec::new(), Vec::new());
            for (key, value) in walk.next_in(&tx).await?.unwrap_or_default() {
                let Some(id) = keys::parse_moved_event_id(&key) else { continue };
                match Moved::decode(&key, &value) {
                    Ok(moved) => {
                        notes.push(key);
                        places.push(moved.place(queue, id));
                    }
                    Err(error) => database.log_damaged(&error, "left as it is"),
                }
            }
            let mut deleted = 0;
            for (note, event) in notes.into_iter().zip(tx.batch_get(places).await?) {
                if event.is_none() {
                    tx.system_keys().delete(note).await?;
                    deleted += 1;
                }
            }
            Ok((deleted, (!walk.is_over()).then_some(walk)))
        })
        .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::membership::tests::support::database;

    #[tokio::test]
    async fn many_dead_letters_are_told_of_hourly_and_few_are_counted_now_and_then() {
        let (db, clock) = database().await;
        let queue = TitoQueue::new(db.clone());
        queue.create_topic("job", 2).await.unwrap();
        let bury = async |count: u64| {
            let tx = db.begin().await.unwrap();
            for number in 0..count {
                let key = keys::dead_event("job", 1, 17, uuid::Uuid::from_u128(number.into()));
                tx.system_keys().put(key, b"{}".to_vec()).await.unwrap();
            }
            tx.commit().await.unwrap();
        };
        let mut sweep = Sweep::new("job");
        // When it counts next, in minutes from now.
        let mut look = async || {
            sweep.look_again();
            while sweep.step(&db).await.unwrap().is_some() {}
            sweep.counts_dead_at_millis.saturating_sub(db.clock().monotonic_millis()) / 60_000
        };
        bury(MANY_DEAD).await;
        assert_eq!(look().await, 10, "they are no more than many");
        bury(MANY_DEAD + 1).await;
        clock.advance(Duration::from_secs(300));
        assert_eq!(look().await, 5, "it does not count so soon");
        clock.advance(Duration::from_secs(300));
        assert_eq!(look().await, 60, "it was told of");
        queue.set_dead_letter_retention("job", None, Some(3)).await.unwrap();
        clock.advance(Duration::from_secs(60));
        look().await;
        assert_eq!(queue.stats("job").await.unwrap().total.dead, 3);
    }

    /// All of them in one second, where their numbers alone tell nothing of which are too many.
    #[tokio::test]
    async fn several_who_have_counted_delete_no_more_than_one_would() {
        let (db, _) = database().await;
        let queue = TitoQueue::new(db.clone());
        queue.create_topic("job", 3).await.unwrap();
        queue.set_dead_letter_retention("job", None, Some(25)).await.unwrap();
        let tx = db.begin().await.unwrap();
        for number in 0..60_u16 {
            let key = keys::dead_event("job", number % 3, 17, uuid::Uuid::from_u128(number.into()));
            tx.system_keys().put(key, b"{}".to_vec()).await.unwrap();
        }
        tx.commit().await.unwrap();
        let mut sweeps = [Sweep::new("job"), Sweep::new("job"), Sweep::new("job")];
        for sweep in &mut sweeps {
            while !sweep.surplus.iter().any(|surplus| matches!(surplus.next(), Next::Delete(_, _, Some(_)))) {
                assert_eq!(sweep.step(&db).await.unwrap(), Some(Swept::default()), "it counts");
            }
        }
        // Somebody purges one that is to go, meanwhile.
        let tx = db.begin().await.unwrap();
        tx.system_keys().delete(keys::dead_event("job", 0, 17, uuid::Uuid::nil())).await.unwrap();
        tx.commit().await.unwrap();
        for sweep in &mut sweeps {
            while sweep.step(&db).await.unwrap().is_some() {}
        }
        let left = db.begin().await.unwrap().scan(keys::dead_events("job"), 100).await.unwrap();
        let mut left: Vec<_> = left.iter().map(|(key, _)| keys::parse_event(key).unwrap().id.as_u128()).collect();
        left.sort_unstable();
        assert_eq!(left, (35..60).collect::<Vec<_>>());
    }
}
