//! What is already waiting when the engine's time is set back: it continues after the same elapsed time as before,
//! although its stored times are now further ahead.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;
use tito_core::Timestamp;
use tito_core::event::{EventHead, started_at};
use tito_core::keys::KeyRange;

use crate::keys;

use super::cursor::EngineTime;
use super::lanes::{Entity, entity_of};
use super::loaded::Slot;

/// How many events of a partition are remembered; others wait for their stored times. Each takes about 200 bytes.
const MOST: usize = 10_000;

const PAGE: usize = 256;

/// After how many milliseconds to look again at an event that can't be handed out yet.
pub(super) const LOOK_AGAIN: u64 = 1_000;

/// How many due events are read at once.
const AT_ONCE: usize = 128;

#[derive(Default)]
pub(super) struct Waited {
    collecting: Option<Collecting>,
    by_key: HashMap<Vec<u8>, Wait>,
    /// Those to be handed out, by time, in milliseconds of the monotonic clock.
    by_moment: BTreeSet<(u64, Vec<u8>)>,
    /// The keys of an entity's events, handed out or not, with the moment from which each precedes anything published
    /// since.
    by_entity: HashMap<Entity, BTreeMap<Vec<u8>, u64>>,
    /// The last timestamp before time was set.
    since: Timestamp,
}

/// The search for waiting events, which happens once.
struct Collecting {
    /// The time before it was set.
    before: EngineTime,
    rest: KeyRange,
}

struct Wait {
    moment: u64,
    /// From when on later events of the entity wait for it.
    holds_from: u64,
    entity: Entity,
    /// Whether its stored row was written after time was set.
    is_new: bool,
}

impl Waited {
    /// Time was set back after `since`: looks for a partition's waiting events from the new present on.
    pub(super) fn begin(&mut self, before: EngineTime, since: Timestamp, queue: &str, partition: u16, present: i64) {
        let start = keys::events_from_second(queue, partition, present.saturating_add(1));
        let rest = KeyRange { start, ..keys::events_of_partition(queue, partition) };
        self.since = since;
        self.collecting = Some(Collecting { before, rest });
    }

    /// The next page of possibly waiting events to read.
    pub(super) fn next_page(&self) -> Option<(KeyRange, usize)> {
        self.collecting.as_ref().map(|collecting| (collecting.rest.clone(), PAGE))
    }

    /// Takes in a page of possibly waiting events.
    pub(super) fn take_page(&mut self, entries: &[(Vec<u8>, Vec<u8>)]) {
        let Some(mut collecting) = self.collecting.take() else { return };
        for (key, row) in entries {
            let is_earlier = Slot::parse(key).is_some_and(|slot| started_at(slot.id) <= self.since);
            if let Some((second, head)) =
                keys::parse_event_second(key).filter(|_| is_earlier).zip(EventHead::decode(key, row).ok())
            {
                let due = head.not_before.unwrap_or(second).max(second);
                self.add(key.clone(), collecting.before.shows_millis(due), entity_of(&head.entity));
            }
        }
        let is_full = self.by_key.len() >= MOST;
        if is_full {
            tracing::warn!(
                "the database's time was set back, and more events wait than are kept in mind: the others wait for their stored times"
            );
        }
        if let Some((last, _)) = entries.last().filter(|_| entries.len() == PAGE && !is_full) {
            collecting.rest = collecting.rest.after(last);
            self.collecting = Some(collecting);
        }
    }

    /// Remembers that an event falls due at a moment, unless it is already remembered.
    pub(super) fn add(&mut self, key: Vec<u8>, moment: u64, entity: Entity) {
        if self.by_key.len() >= MOST || self.by_key.contains_key(&key) {
            return;
        }
        self.insert(key, Wait { moment, holds_from: moment, entity, is_new: false });
    }

    fn insert(&mut self, key: Vec<u8>, wait: Wait) {
        self.by_moment.insert((wait.moment, key.clone()));
        self.by_entity.entry(wait.entity).or_default().insert(key.clone(), wait.holds_from);
        self.by_key.insert(key, wait);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// When the next of them falls due.
    pub(super) fn next_moment(&self) -> Option<u64> {
        self.by_moment.first().map(|(moment, _)| *moment)
    }

    /// Those that are due.
    pub(super) fn due(&self, clock_millis: u64) -> Vec<Vec<u8>> {
        let due = self.by_moment.iter().take_while(|(moment, _)| *moment <= clock_millis);
        due.take(AT_ONCE).map(|(_, key)| key.clone()).collect()
    }

    /// When an event falls due whose stored time is from before time was set.
    pub(super) fn moment_of(&self, key: &[u8]) -> Option<u64> {
        self.by_key.get(key).filter(|wait| !wait.is_new).map(|wait| wait.moment)
    }

    /// Whether an event has to wait for an earlier one of its entity. If the event was published after time was set,
    /// the earlier one's key can come after its own.
    pub(super) fn blocks(&self, entity: Entity, key: &[u8], published: Timestamp, clock_millis: u64) -> bool {
        let Some(all) = self.by_entity.get(&entity) else { return false };
        if published > self.since {
            all.values().any(|from| *from <= clock_millis)
        } else {
            all.keys().next().is_some_and(|first| first.as_slice() < key)
        }
    }

    /// It is being handled, or waits for its turn.
    pub(super) fn hand_out(&mut self, key: &[u8]) {
        if let Some(wait) = self.by_key.get(key) {
            self.by_moment.remove(&(wait.moment, key.to_vec()));
        }
    }

    /// It was taken back before it was handled.
    pub(super) fn release(&mut self, key: &[u8]) {
        if let Some(wait) = self.by_key.get(key) {
            self.by_moment.insert((wait.moment, key.to_vec()));
        }
    }

    /// It is not to be handed out before another moment.
    pub(super) fn wait_until(&mut self, key: &[u8], moment: u64) {
        if let Some(wait) = self.forget(key) {
            self.insert(key.to_vec(), Wait { moment, ..wait });
        }
    }

    /// It was postponed in its place: the stored row says until when, in the new time.
    pub(super) fn postpone(&mut self, key: &[u8]) {
        if let Some(wait) = self.forget(key) {
            self.insert(key.to_vec(), Wait { moment: 0, holds_from: 0, is_new: true, ..wait });
        }
    }

    /// It is done, or lies elsewhere. Returns whether later events of its entity no longer wait for it.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        self.forget(key).is_some_and(|wait| !self.by_entity.contains_key(&wait.entity))
    }

    fn forget(&mut self, key: &[u8]) -> Option<Wait> {
        let wait = self.by_key.remove(key)?;
        self.by_moment.remove(&(wait.moment, key.to_vec()));
        if let Some(all) = self.by_entity.get_mut(&wait.entity) {
            all.remove(key);
            if all.is_empty() {
                self.by_entity.remove(&wait.entity);
            }
        }
        Some(wait)
    }
}
