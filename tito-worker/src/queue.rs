//! The queue: an engine, seen as topics of events.

use tito_core::database::{PageSize, Walk};
use tito_core::engine::KeyValue;
use tito_core::event::{EventReference, OutboxEvent, Topic, on_publish, write_event};
use tito_core::keys::KeyRange;
use tito_core::{Database, Now, Result, Transaction};

use crate::activity::keep_written;
use crate::publish::{Due, Publish};

/// How many rows are read at once.
const PAGE: usize = 1_000;

/// The topics of a database. Costs nothing to create.
#[derive(Clone, Debug)]
pub struct TitoQueue {
    /// The engine that holds the events.
    pub engine: Database,
}

impl TitoQueue {
    /// The topics of `engine`.
    pub fn new(engine: Database) -> Self {
        on_publish(&engine, keep_written);
        Self { engine }
    }

    /// Creates a topic with 1 to 10,000 partitions if it does not exist, and returns how many it has. A topic that is
    /// not created by hand gets 16 when it is first used.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName),
    /// [`TitoError::OutOfRange`](tito_core::TitoError::OutOfRange), and those of the engine.
    pub async fn create_topic(&self, name: &str, partitions: u16) -> Result<u16> {
        Ok(Topic::ensure(&self.engine, name, partitions).await?.partitions)
    }

    /// Publishes an event in a transaction: it is there when the transaction commits, with everything else that the
    /// transaction writes, or not at all. Returns a reference to it.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName) for its topic or its owner,
    /// [`TitoError::LimitExceeded`](tito_core::TitoError::LimitExceeded), and those of the engine.
    pub async fn publish(&self, event: Publish, tx: &Transaction) -> Result<EventReference> {
        let timestamp = match event.due {
            Due::At(seconds) => seconds,
            Due::After(delay) if delay.is_zero() => 0,
            Due::After(delay) => tx.now().seconds_after(delay),
        };
        let owner = event.owner_text()?;
        let Publish { event_type, entity, action, headers, payload, cause, .. } = event;
        let event = OutboxEvent { event_type, entity, owner, row: None, action, timestamp, headers, payload };
        match cause {
            Some(cause) => cause.scope(write_event(tx, event)).await,
            None => write_event(tx, event).await,
        }
    }

    /// What the first rows of a range are, up to so many; a row that is nothing is passed over. Reads no row more than
    /// it has to.
    pub(crate) async fn first_of<T: Send>(
        &self,
        range: KeyRange,
        limit: usize,
        read: impl Fn(&KeyValue, Now) -> Option<T> + Send + Sync,
    ) -> Result<Vec<T>> {
        let (mut walk, mut found) = (Walk::over(range), Vec::new());
        while found.len() < limit {
            walk = walk.in_pages(PageSize::entries((limit - found.len()).min(PAGE)));
            let Some((page, now)) = walk.next(&self.engine).await? else { break };
            found.extend(page.iter().filter_map(|row| read(row, now)));
        }
        Ok(found)
    }
}
