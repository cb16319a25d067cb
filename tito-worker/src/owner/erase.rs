//! Deletes all that belongs to an owner.

use std::collections::{BTreeSet, HashSet};

use tito_core::database::{PageSize, Walk};
use tito_core::event::{Topic, check_owner, delete_pending, topic_of};
use tito_core::{KeyText, Result, TitoError, Transaction};

use super::belongings::{Belonging, Found, belongings};
use super::counts::OwnerCounts;
use crate::inspect::{PendingState, read_event};
use crate::keys;
use crate::locate::Located;
use crate::place::Kind;
use crate::queue::TitoQueue;

/// So many keys a step deletes at most, unless a single event lies in more queues than that.
const MOST_KEYS: usize = 800;

impl TitoQueue {
    /// Deletes for good everything that belongs to an owner according to its [publisher](crate::Publish::owner), and
    /// returns how much that was: events that are due, delayed or to be tried again, dead letters and history, in all
    /// topics and all their groups; keys of unique events; and schedules.
    ///
    /// Works in transactions of at most 200 rows, until it finds nothing more. After an error or a crash, call it again
    /// to continue. Anything published for the owner meanwhile is erased too if it is found before the last step: stop
    /// publishing for the owner first, and see [`search_owner`](TitoQueue::search_owner).
    ///
    /// Events being handled are treated as by [`cancel`](TitoQueue::cancel): nothing that a transactional handler
    /// writes takes effect, and a plain one runs to its end. Other owners' events that waited for an erased one go on.
    ///
    /// Owners are compared byte by byte: `a` and `ab` are different. The guide's page on erasure says what this does
    /// not reach.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`] for an owner that is empty or longer than 512 bytes; [`TitoError::Malformed`] if
    /// something can't be read, after everything else was erased; those of the engine.
    pub async fn erase_owner(&self, owner: &str) -> Result<OwnerCounts> {
        let mut erasure = self.erasing(owner)?;
        while erasure.step().await? {}
        Ok(erasure.so_far())
    }

    /// Like [`erase_owner`](TitoQueue::erase_owner), to be done step by step.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`].
    pub fn erasing(&self, owner: &str) -> Result<Erasure> {
        check_owner(owner)?;
        let walk = Some(Walk::over(keys::owned_by(owner)));
        let (owner, erased) = (owner.to_string(), OwnerCounts::default());
        Ok(Erasure { queue: self.clone(), owner, walk, has_deleted: false, damaged: None, erased })
    }

    /// Up to `limit` keys under which something that belongs to an owner was stored, in key order and after `after`.
    /// Pending events are listed by where they were published; things that are gone are listed until the janitor comes
    /// by.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`], and those of the engine.
    pub async fn owned_by(&self, owner: &str, limit: usize, after: Option<&KeyText>) -> Result<Vec<KeyText>> {
        check_owner(owner)?;
        let all = keys::owned_by(owner);
        let range = match after {
            Some(key) => all.after(&keys::owned(owner, key.as_bytes())),
            None => all,
        };
        let read = |tx: Transaction| async move { tx.scan(range, limit).await };
        let rows = self.engine.transaction(read).await?;
        Ok(rows.iter().filter_map(|(row, _)| keys::parse_owned(row)).map(|(_, key)| KeyText::from(key)).collect())
    }
}

/// An erasure under way. Dropping it ends it; what was erased by then is gone, and another one continues with the rest.
#[derive(Debug)]
#[must_use = "it does nothing until it is stepped"]
pub struct Erasure {
    queue: TitoQueue,
    owner: String,
    /// What is left of this pass; `None` at the end.
    walk: Option<Walk>,
    /// Whether this pass has deleted a row: then there may be others behind, of what has moved meanwhile.
    has_deleted: bool,
    /// What this pass could not read.
    damaged: Option<TitoError>,
    erased: OwnerCounts,
}

/// What one transaction came to.
#[derive(Default)]
struct Step {
    erased: OwnerCounts,
    deleted: usize,
    damaged: Option<TitoError>,
    walk: Option<Walk>,
}

impl Erasure {
    /// Erases up to 200 things in one transaction. Returns whether there may be more.
    ///
    /// # Errors
    /// Those of [`erase_owner`](TitoQueue::erase_owner). Calling it again continues where it stopped.
    pub async fn step(&mut self) -> Result<bool> {
        let Some(walk) = self.walk.clone() else { return Ok(false) };
        let owner = self.owner.as_str();
        let step = self.queue.engine.transaction(|tx| async move { erase_some(&tx, owner, walk).await });
        let step = Box::pin(step).await?;
        self.erased += step.erased;
        self.has_deleted |= step.deleted > 0;
        self.damaged = self.damaged.take().or(step.damaged);
        if step.walk.is_some() {
            self.walk = step.walk;
            return Ok(true);
        }
        let damaged = self.damaged.take();
        self.walk = Some(Walk::over(keys::owned_by(&self.owner)));
        if std::mem::take(&mut self.has_deleted) {
            return Ok(true);
        }
        match damaged {
            Some(damaged) => Err(damaged),
            None => {
                self.walk = None;
                Ok(false)
            }
        }
    }

    /// What was erased so far. A step whose commit had an unknown outcome is not counted.
    pub fn so_far(&self) -> OwnerCounts {
        self.erased
    }
}

async fn erase_some(tx: &Transaction, owner: &str, walk: Walk) -> Result<Step> {
    let limits = tx.database().limits();
    let mut walk = walk.in_pages(PageSize::within(limits));
    let rows: Vec<_> = walk.next_in(tx).await?.unwrap_or_default().into_iter().map(|(row, _)| row).collect();
    let found = rows.len();
    let taken = belongings(tx, rows, MOST_KEYS.min(limits.transaction_keys / 2)).await?;
    if let Some(last) = taken.last().filter(|_| taken.len() < found) {
        walk = Walk::over(keys::owned_by(owner).after(&last.row));
    }
    let mut step = Step { walk: (!walk.is_over()).then_some(walk), ..Step::default() };
    let mut gone = Gone::default();
    for Belonging { row, found } in taken {
        match found {
            Err(error) => {
                tx.database().log_damaged(&error, "what belongs to an owner can't be erased");
                step.damaged.get_or_insert(error);
                continue;
            }
            Ok(found) => erase(tx, found, &mut step.erased, &mut gone).await?,
        }
        tx.system_keys().delete(row).await?;
        step.deleted += 1;
    }
    for event_type in gone.blocked {
        Topic::raise_revision(tx, &event_type).await?;
    }
    Ok(step)
}

/// What one transaction has deleted.
#[derive(Default)]
struct Gone {
    /// The keys of events: two rows can lead to one.
    events: HashSet<Vec<u8>>,
    /// The topics of events for which others wait.
    blocked: BTreeSet<String>,
}

/// Deletes what was found.
async fn erase(tx: &Transaction, found: Found, erased: &mut OwnerCounts, gone: &mut Gone) -> Result<()> {
    let (key, count) = match found {
        Found::Gone => return Ok(()),
        Found::Pending(located) => {
            for event in located {
                if gone.events.insert(event.key.clone()) {
                    *erased.pending(state_of(&event, tx.now().seconds())) += 1;
                    if event.blocks_until().is_some() {
                        gone.blocked.insert(topic_of(&event.queue).0.to_string());
                    }
                    if let Some(place) = keys::parse_event(&event.key) {
                        tx.system_keys().delete(keys::moved_event(&event.queue, place.id)).await?;
                    }
                    delete_pending(tx, event.key, &event.value).await?;
                }
            }
            return Ok(());
        }
        Found::Kept(Kind::Dead, key) => (key, &mut erased.dead),
        Found::Kept(_, key) => (key, &mut erased.done),
        Found::Unique(key) => (key, &mut erased.unique),
        Found::Schedule(key) => (key, &mut erased.schedules),
    };
    *count += 1;
    tx.system_keys().delete(key).await
}

pub(super) fn state_of(event: &Located, now: i64) -> PendingState {
    PendingState::of(&event.key, read_event(&event.key, &event.value).as_ref(), now).0
}
