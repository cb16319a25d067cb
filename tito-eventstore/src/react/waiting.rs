//! Entities of which the queue has something. What comes of them later has to wait there, too.

use std::collections::{BTreeSet, HashMap};

use tito_core::Transaction;
use tito_core::database::{PageSize, Walk};
use tito_core::event::EventHead;
use tito_worker::feed::Fed;
use uuid::Uuid;

use crate::error::Result;
use crate::event::Event;
use crate::keys;

/// Where an event is in the queue: partition, second and id.
pub(super) type Place = (u16, i64, Uuid);

/// How many entries of the queue are read at once.
const PAGE: usize = 1_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    entities: HashMap<String, Entity>,
    /// How many events are in the queue or on their way.
    events: usize,
    keeps_order: bool,
}

#[derive(Clone, Debug, Default)]
struct Entity {
    /// In the order in which they are handled.
    places: Vec<Place>,
    /// How many are on their way into the queue.
    coming: usize,
}

impl Waiting {
    /// Everything that the queue has.
    pub(super) async fn read(fed: &Fed, tx: &Transaction) -> Result<Self> {
        let mut waiting = Self { keeps_order: fed.keeps_order(), ..Self::default() };
        let mut walk = Walk::over(keys::events_of_queue(fed.queue())).in_pages(PageSize::entries(PAGE));
        while let Some(page) = walk.next_in(tx).await? {
            for (key, row) in page {
                // What is none of a reactor's is the worker's to dead-letter.
                let (Some(place), Ok(head)) = (keys::parse_event(&key), EventHead::decode(&key, &row)) else {
                    continue;
                };
                waiting.add(&head.entity, (place.partition, place.seconds, place.id));
            }
        }
        Ok(waiting)
    }

    fn add(&mut self, entity: &str, place: Place) {
        self.events += 1;
        match self.entities.get_mut(entity) {
            Some(entity) => entity.places.push(place),
            None => {
                self.entities.insert(entity.to_string(), Entity { places: vec![place], coming: 0 });
            }
        }
    }

    /// How many events are in the queue, as far as is known, or on their way.
    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// Whether an entity's events have to wait in the queue.
    pub(super) fn holds(&self, entity: &str) -> bool {
        self.keeps_order && !self.entities.is_empty() && self.entities.contains_key(entity)
    }

    /// An event of an entity is on its way into the queue.
    pub(super) fn comes(&mut self, entity: &str) {
        self.events += 1;
        match self.entities.get_mut(entity) {
            Some(entity) => entity.coming += 1,
            None => {
                self.entities.insert(entity.to_string(), Entity { places: Vec::new(), coming: 1 });
            }
        }
    }

    /// It has got there, or is done after all.
    pub(super) fn came(&mut self, entity: &str, place: Option<Place>) {
        let Some(known) = self.entities.get_mut(entity) else { return };
        known.coming = known.coming.saturating_sub(1);
        match place {
            Some(place) => known.places.push(place),
            None => self.events -= 1,
        }
        if known.coming == 0 && known.places.is_empty() {
            self.entities.remove(entity);
        }
    }

    /// The second before which nothing of an entity may be put into the queue, to come after what is there.
    pub(super) fn last_second(&self, entity: &str) -> i64 {
        let places = self.entities.get(entity).map(|entity| &entity.places);
        places.and_then(|places| places.last()).map_or(0, |(_, second, _)| *second)
    }

    /// Finds out which of the events' entities the queue has nothing of any more. What is handled last of an entity is
    /// gone last.
    pub(super) async fn look(&mut self, fed: &Fed, tx: &Transaction, events: &[Event]) -> Result<()> {
        if self.entities.is_empty() {
            return Ok(());
        }
        let entities: BTreeSet<_> =
            events.iter().map(Event::entity).filter(|one| self.entities.contains_key(*one)).collect();
        self.look_at(fed, tx, entities.into_iter().map(ToString::to_string).collect()).await
    }

    /// The same of all entities.
    pub(super) async fn look_at_all(&mut self, fed: &Fed, tx: &Transaction) -> Result<()> {
        self.look_at(fed, tx, self.entities.keys().cloned().collect()).await
    }

    async fn look_at(&mut self, fed: &Fed, tx: &Transaction, mut entities: Vec<String>) -> Result<()> {
        while !entities.is_empty() {
            let last = |entity: &String| self.entities.get(entity).and_then(|entity| entity.places.last().copied());
            let asked: Vec<_> = entities.drain(..).filter_map(|entity| Some((last(&entity)?, entity))).collect();
            let keys = asked.iter().map(|(place, _)| fed.key_of(*place)).collect();
            let stored = tx.batch_get(keys).await?;
            let gone = asked.into_iter().zip(stored).filter_map(|(asked, stored)| stored.is_none().then_some(asked));
            let (places, gone): (Vec<_>, Vec<_>) = gone.unzip();
            if places.is_empty() {
                return Ok(());
            }
            // Its topic's partitions can have become others.
            let moved = fed.moved(tx, &places).await?;
            for (entity, moved) in gone.into_iter().zip(moved) {
                match moved {
                    Some(place) => self.is_at(&entity, place),
                    None if self.forget_last(&entity) => entities.push(entity),
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// The last place of an entity is another by now.
    fn is_at(&mut self, entity: &str, place: Place) {
        if let Some(last) = self.entities.get_mut(entity).and_then(|entity| entity.places.last_mut()) {
            *last = place;
        }
    }

    /// Forgets the last place of an entity, and tells whether there is one before it.
    fn forget_last(&mut self, entity: &str) -> bool {
        let Some(known) = self.entities.get_mut(entity) else { return false };
        self.events -= usize::from(known.places.pop().is_some());
        let is_empty = known.places.is_empty();
        if is_empty && known.coming == 0 {
            self.entities.remove(entity);
        }
        !is_empty
    }
}
