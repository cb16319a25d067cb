//! What is left of entities.

use std::collections::VecDeque;

use tito_core::Transaction;
use tito_core::database::{PageSize, Walk};

use super::step::MOST_SNAPSHOTS;
use super::target::Target;
use crate::error::Result;
use crate::event::Event;
use crate::keys;
use crate::log::read_definition;
use crate::projection;
use crate::store::EventStore;

/// What a search for entities has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemainingEntities {
    /// Events that name one of the entities, and rows in the range of one.
    pub events: u64,
    /// Entities of which something is known.
    pub entities: u64,
    /// Snapshots of models that may have been folded from events of one.
    pub snapshots: u64,
    /// Projections that are being rebuilt, or whose earlier rows are being deleted: until a worker has done that, they
    /// may still show rows folded from erased events.
    pub projections: Vec<String>,
    /// How many events of the store were looked at, placeholders included.
    pub read: u64,
    /// How many of them can't be read, so that nobody knows whose they are.
    pub unreadable: u64,
}

impl RemainingEntities {
    /// Whether nothing was found. [Unreadable](RemainingEntities::unreadable) rows are not considered.
    pub fn is_nothing(&self) -> bool {
        self.events + self.entities + self.snapshots == 0 && self.projections.is_empty()
    }
}

impl EventStore {
    /// Reads every event of the store, what it knows of entities, its snapshots and how far its projections are, and
    /// counts what is left of the entities that a pattern selects: after an [`erase`](EventStore::erase)
    /// [`RemainingEntities::is_nothing`] shows that nothing of them can be read through the store.
    ///
    /// In pages of at most 200 rows, each at its own snapshot. Costs reading the whole store.
    ///
    /// # Errors
    /// Those of [`erase`](EventStore::erase).
    pub async fn remains(&self, pattern: &str) -> Result<RemainingEntities> {
        let mut search = self.searching_entities(pattern)?;
        while search.step().await? {}
        Ok(search.so_far())
    }

    /// As [`remains`](EventStore::remains), to be done page by page.
    ///
    /// # Errors
    /// [`PatternInvalid`](crate::EventStoreError::PatternInvalid).
    pub fn searching_entities(&self, pattern: &str) -> Result<EntitySearch> {
        let target = Target::parse(pattern)?;
        Ok(EntitySearch { store: self.clone(), target, rest: None, remaining: RemainingEntities::default() })
    }
}

/// A search for entities under way.
#[derive(Debug)]
#[must_use = "it does nothing until it is stepped"]
pub struct EntitySearch {
    store: EventStore,
    target: Target,
    /// What is left to be read; none before it is known which types of entities there are.
    rest: Option<VecDeque<(Part, Walk)>>,
    remaining: RemainingEntities,
}

/// What a range has.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Events of the entities alone.
    TheirEvents,
    /// What is known of the entities alone.
    Entities,
    Snapshots,
    AllEvents,
}

impl EntitySearch {
    /// Reads the next page. Returns whether there may be more.
    ///
    /// # Errors
    /// [`StoreNotFound`](crate::EventStoreError::StoreNotFound) by the first step, and those of the engine. Calling it
    /// again goes on where it stopped.
    pub async fn step(&mut self) -> Result<bool> {
        let Some(rest) = &mut self.rest else {
            self.begin().await?;
            return Ok(true);
        };
        while let Some((part, walk)) = rest.front_mut() {
            let part = *part;
            match walk.next(self.store.database()).await? {
                None => drop(rest.pop_front()),
                Some((page, _)) => {
                    page.into_iter().for_each(|(key, value)| self.look_at(part, &key, value));
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// What was found so far.
    pub fn so_far(&self) -> RemainingEntities {
        self.remaining.clone()
    }

    /// Looks at the projections, and for what there is to be read.
    async fn begin(&mut self) -> Result<()> {
        let tx = self.store.database().begin().await?;
        let begun = self.begin_in(&tx).await;
        tx.rollback().await;
        (self.rest, self.remaining.projections) = begun.map(|(rest, projections)| (Some(rest), projections))?;
        Ok(())
    }

    async fn begin_in(&self, tx: &Transaction) -> Result<(VecDeque<(Part, Walk)>, Vec<String>)> {
        let (target, store) = (&self.target, self.store.id());
        let mut projections = Vec::new();
        for name in read_definition(tx, self.store.name()).await?.projections {
            if projection::has_earlier_rows(tx, store, &name).await? {
                projections.push(name);
            }
        }
        let mut rest = VecDeque::new();
        for entity_type in target.types(tx, store).await? {
            rest.push_back((Part::TheirEvents, Walk::over(target.events(store, &entity_type))));
            rest.extend(target.lasts(store, &entity_type).map(|range| (Part::Entities, Walk::over(range))));
        }
        let snapshots = Walk::over(keys::log_snapshots(store)).in_pages(PageSize::entries(MOST_SNAPSHOTS));
        rest.push_back((Part::Snapshots, snapshots));
        rest.push_back((Part::AllEvents, Walk::over(keys::log_events_between(store, 0, keys::MAX_SEQUENCE))));
        Ok((rest, projections))
    }

    fn look_at(&mut self, part: Part, key: &[u8], value: Vec<u8>) {
        let (remaining, target) = (&mut self.remaining, &self.target);
        match part {
            Part::TheirEvents => remaining.events += 1,
            Part::Entities => remaining.entities += 1,
            Part::Snapshots => remaining.snapshots += u64::from(target.is_in_snapshot(key)),
            Part::AllEvents => {
                remaining.read += 1;
                match Event::decode(key, 0, value) {
                    Err(_) => remaining.unreadable += 1,
                    Ok(event) if event.is_erased() => {}
                    Ok(event) => remaining.events += u64::from(target.has(event.entity_type(), event.entity_id())),
                }
            }
        }
    }
}
