//! Reads everything there is, and says whether anything belongs to an owner: it shows that nothing is left.

use std::collections::VecDeque;

use serde::Serialize;
use tito_core::database::Walk;
use tito_core::event::{TitoEvent, check_owner};
use tito_core::row::StoredRow;
use tito_core::{Result, TitoError};

use super::counts::OwnerCounts;
use crate::inspect::{PendingState, read_event};
use crate::keys;
use crate::queue::TitoQueue;
use crate::schedule::owner_of_schedule;
use crate::unique::UniqueRow;

/// What a search for what belongs to an owner has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Remaining {
    /// Stored things that name the owner.
    pub found: OwnerCounts,
    /// The owner's rows, including those of things that are gone.
    pub indexed: u64,
    /// How many stored rows were looked at.
    pub read: u64,
    /// How many of them can't be read, so that nobody knows whose they are.
    pub unreadable: u64,
}

impl Remaining {
    /// Whether nothing was found: no row names the owner. [Unreadable](Remaining::unreadable) rows are not considered.
    pub fn is_nothing(&self) -> bool {
        self.found.total() == 0 && self.indexed == 0
    }
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Index,
    Pending,
    Dead,
    Done,
    Unique,
    Schedules,
}

impl TitoQueue {
    /// Reads every event, dead letter, kept event, unique key and schedule of the database, of all topics and groups,
    /// and counts what names an owner. It does not use the rows that [`erase_owner`](TitoQueue::erase_owner) uses.
    /// After an erasure [`Remaining::is_nothing`] shows that nothing is left that could be read through Tito.
    ///
    /// In pages of at most 200 rows, each as one snapshot shows it; an event that is redriven or replayed meanwhile may
    /// be missed. It reads everything that workers have stored, so it is for an operator and not for a program's daily
    /// work.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`], and those of the engine.
    pub async fn search_owner(&self, owner: &str) -> Result<Remaining> {
        let mut search = self.searching_owner(owner)?;
        while search.step().await? {}
        Ok(search.so_far())
    }

    /// Like [`search_owner`](TitoQueue::search_owner), to be done page by page.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`].
    pub fn searching_owner(&self, owner: &str) -> Result<OwnerSearch> {
        check_owner(owner)?;
        // In the order in which events go through them.
        let parts = [
            (Part::Index, keys::owned_by(owner)),
            (Part::Schedules, keys::schedules()),
            (Part::Unique, keys::all_unique_events()),
            (Part::Pending, keys::events()),
            (Part::Dead, keys::all_dead_events()),
            (Part::Done, keys::all_done_events()),
        ];
        let rest = parts.into_iter().map(|(part, range)| (part, Walk::over(range))).collect();
        Ok(OwnerSearch { queue: self.clone(), owner: owner.to_string(), rest, remaining: Remaining::default() })
    }
}

/// A search under way.
#[derive(Debug)]
#[must_use = "it does nothing until it is stepped"]
pub struct OwnerSearch {
    queue: TitoQueue,
    owner: String,
    rest: VecDeque<(Part, Walk)>,
    remaining: Remaining,
}

impl OwnerSearch {
    /// Reads the next page. Returns whether there may be more.
    ///
    /// # Errors
    /// Those of the engine. Calling it again goes on where it stopped.
    pub async fn step(&mut self) -> Result<bool> {
        while let Some((part, walk)) = self.rest.front_mut() {
            let part = *part;
            match walk.next(&self.queue.engine).await? {
                None => drop(self.rest.pop_front()),
                Some((page, now)) => {
                    page.iter().for_each(|(key, value)| self.look_at(part, key, value, now.seconds()));
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// What was found so far.
    pub fn so_far(&self) -> Remaining {
        self.remaining
    }

    fn look_at(&mut self, part: Part, key: &[u8], value: &[u8], now: i64) {
        let remaining = &mut self.remaining;
        if matches!(part, Part::Index) {
            remaining.indexed += 1;
            return;
        }
        remaining.read += 1;
        match owner(part, key, value) {
            Err(_) => remaining.unreadable += 1,
            Ok(Some(owner)) if owner == self.owner => {
                let found = &mut remaining.found;
                *match part {
                    Part::Dead => &mut found.dead,
                    Part::Done => &mut found.done,
                    Part::Unique => &mut found.unique,
                    Part::Schedules => &mut found.schedules,
                    Part::Pending | Part::Index => {
                        found.pending(PendingState::of(key, read_event(key, value).as_ref(), now).0)
                    }
                } += 1;
            }
            Ok(_) => {}
        }
    }
}

fn owner(part: Part, key: &[u8], value: &[u8]) -> Result<Option<String>, TitoError> {
    match part {
        Part::Unique => Ok(UniqueRow::decode(key, value)?.owner),
        Part::Schedules => owner_of_schedule(key, value),
        Part::Index | Part::Pending | Part::Dead | Part::Done => Ok(TitoEvent::decode_known(key, value)?.owner),
    }
}
