//! Look at, replay, remove.

use tito_core::database::Walk;
use tito_core::event::TitoEvent;
use tito_core::row::StoredRow;
use tito_core::{TitoError, Transaction};
use tito_worker::{DeadLetter, QueueError, TitoQueue};

use super::from::ReactFrom;
use super::position::Position;
use super::reactor::{read_current, tell};
use super::reference::put_at;
use crate::error::{EventStoreError, Result};
use crate::keys;
use crate::log::topic;
use crate::read::read_head;
use crate::store::EventStore;

/// How far a reactor is. Earlier events that are being retried or failed for good are in its topic:
/// [`TitoQueue::stats`](tito_worker::TitoQueue::stats),
/// [`TitoQueue::dead_letters`](tito_worker::TitoQueue::dead_letters).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReactorInfo {
    /// Its name.
    pub name: String,
    /// All selected events up to this sequence are done, or in its topic, except for those that are `open`.
    pub position: u64,
    /// How many events up to there were handed to handlers and are not known to be done.
    pub open: usize,
    /// The last sequence of the store.
    pub last_sequence: u64,
}

impl ReactorInfo {
    /// How many sequences the reactor is behind its store.
    pub fn behind(&self) -> u64 {
        self.last_sequence.saturating_sub(self.position)
    }
}

impl EventStore {
    /// How far a reactor is.
    ///
    /// # Errors
    /// [`ReactorNotFound`](EventStoreError::ReactorNotFound), [`StoreNotFound`](EventStoreError::StoreNotFound), and those
    /// of the engine.
    pub async fn reactor(&self, name: &str) -> Result<ReactorInfo> {
        let tx = self.database().begin().await?;
        let info = read_info(self, &tx, name).await;
        tx.rollback().await;
        info
    }

    /// The names of the store's reactors, in their order.
    ///
    /// # Errors
    /// [`StoreNotFound`](EventStoreError::StoreNotFound), and those of the engine.
    pub async fn reactors(&self) -> Result<Vec<String>> {
        let tx = self.database().begin().await?;
        let names = read_names(self, &tx).await;
        tx.rollback().await;
        names
    }

    /// Makes a reactor start again at `from`, before or after its current position. Events in its topic that it will
    /// come to again are skipped there, and so are dead letters of such events when they are redriven; those of earlier
    /// sequences stay, and no later replay brings back what this one has skipped. Running handlers end first, and what
    /// they have done is done again if it comes after the new beginning.
    ///
    /// # Errors
    /// [`ReactorNotFound`](EventStoreError::ReactorNotFound), [`StoreNotFound`](EventStoreError::StoreNotFound), and those
    /// of the engine.
    pub async fn replay_reactor(&self, name: &str, from: ReactFrom) -> Result<()> {
        let run = (self.clone(), name.to_string());
        let replay = |tx: Transaction| async move {
            let (store, name) = run;
            read_current(&store, &tx).await?;
            let position = read_position(&store, &tx, &name).await?;
            let after = from.after(&store, &tx).await?;
            let position = position.begun_anew(tx.start_timestamp().raw(), after);
            tx.system_keys().put(keys::log_reactor(store.id(), &name), position.encode()?).await?;
            // An erasure that found the reactor past its events meets a conflict.
            tx.lock_keys(vec![keys::log_tail(store.id())]).await?;
            tell(&store, &tx);
            Ok::<_, EventStoreError>(())
        };
        self.transaction(replay).await
    }

    /// Removes a reactor with everything in its topic, including dead letters, and says whether there was one. It is
    /// gone at once; then the topic is emptied in bounded transactions. An interrupted call is finished by the next
    /// one.
    ///
    /// # Errors
    /// [`StoreNotFound`](EventStoreError::StoreNotFound), and those of the engine.
    pub async fn remove_reactor(&self, name: &str) -> Result<bool> {
        let run = (self.clone(), name.to_string());
        let remove = |tx: Transaction| async move {
            let (store, name) = run;
            let definition = read_current(&store, &tx).await?;
            let key = keys::log_reactor(store.id(), &name);
            let was_there = tx.get(&key).await?.is_some();
            if was_there {
                tx.system_keys().delete(key).await?;
                tell(&store, &tx);
            } else {
                // One that is created at the same time was not there before, or meets a conflict.
                tx.lock_keys(vec![key]).await?;
            }
            // What wakes a projection of the name is none of it.
            let is_projection = definition.projections.contains(&name);
            Ok::<_, EventStoreError>((was_there, is_projection, tx.start_timestamp().raw()))
        };
        let (was_there, is_projection, removed) = self.transaction(remove).await?;
        if is_projection {
            return Ok(false);
        }
        let (queue, topic) = (TitoQueue::new(self.database().clone()), topic(self.name(), name));
        // A reactor of the name that is created meanwhile has events in the topic already.
        let is_of_removed = |event: &TitoEvent| put_at(event).is_none_or(|since| since < removed);
        let of_removed = |letter: &DeadLetter| letter.event.as_ref().is_none_or(is_of_removed);
        let purged = queue.purge_where(&topic, is_of_removed).await;
        for purged in [purged, queue.purge_dead_letters_where(&topic, of_removed).await] {
            match purged {
                // One that was never served.
                Ok(_) | Err(QueueError::UnknownTopic { .. } | QueueError::Engine(TitoError::InvalidName { .. })) => {}
                Err(error) => return Err(TitoError::from(error).into()),
            }
        }
        Ok(was_there)
    }
}

async fn read_names(store: &EventStore, tx: &Transaction) -> Result<Vec<String>> {
    read_current(store, tx).await?;
    let reactors = Walk::over(keys::log_reactors(store.id())).rest_in(tx).await?;
    Ok(reactors.iter().filter_map(|(key, _)| keys::parse_log_reactor(key)).collect())
}

async fn read_info(store: &EventStore, tx: &Transaction, name: &str) -> Result<ReactorInfo> {
    read_current(store, tx).await?;
    let position = read_position(store, tx, name).await?;
    let last_sequence = read_head(store, tx).await?.last;
    Ok(ReactorInfo { name: name.to_string(), position: position.sequence, open: position.open.len(), last_sequence })
}

async fn read_position(store: &EventStore, tx: &Transaction, name: &str) -> Result<Position> {
    let key = keys::log_reactor(store.id(), name);
    match tx.get(&key).await? {
        Some(stored) => Ok(Position::decode(&key, &stored)?),
        None => Err(EventStoreError::ReactorNotFound { store: store.name().to_string(), reactor: name.to_string() }),
    }
}
