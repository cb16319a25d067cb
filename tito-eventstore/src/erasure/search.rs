//! What is left of entities.

use tito_core::database::{PageSize, Walk};
use tito_core::{Database, Result as CoreResult};

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
        let target = Target::parse(pattern)?;
        let (database, store) = (self.database(), self.id());
        let mut remaining = RemainingEntities::default();
        let tx = database.begin().await?;
        let definition = read_definition(&tx, self.name()).await;
        let types = target.types(&tx, store).await;
        for name in definition?.projections {
            if projection::has_earlier_rows(&tx, store, &name).await? {
                remaining.projections.push(name);
            }
        }
        tx.rollback().await;
        for entity_type in types? {
            remaining.events += count(database, Walk::over(target.events(store, &entity_type)), |_| true).await?;
            for range in target.lasts(store, &entity_type) {
                remaining.entities += count(database, Walk::over(range), |_| true).await?;
            }
        }
        let snapshots = Walk::over(keys::log_snapshots(store)).in_pages(PageSize::entries(MOST_SNAPSHOTS));
        remaining.snapshots = count(database, snapshots, |key| target.is_in_snapshot(key)).await?;
        let mut events = Walk::over(keys::log_events_between(store, 0, keys::MAX_SEQUENCE));
        while let Some((page, _)) = events.next(database).await? {
            for (key, value) in page {
                remaining.read += 1;
                match Event::decode(&key, 0, value) {
                    Err(_) => remaining.unreadable += 1,
                    Ok(event) if event.is_erased() => {}
                    Ok(event) => remaining.events += u64::from(target.has(event.entity_type(), event.entity_id())),
                }
            }
        }
        Ok(remaining)
    }
}

async fn count(database: &Database, mut walk: Walk, is_of_them: impl Fn(&[u8]) -> bool + Send) -> CoreResult<u64> {
    let mut counted = 0;
    while let Some((page, _)) = walk.next(database).await? {
        counted += page.iter().filter(|(key, _)| is_of_them(key)).count() as u64;
    }
    Ok(counted)
}
