//! Create, get, list, update, delete.

use std::sync::Arc;

use tito_core::engine::Signal;
use tito_core::row::{StoredRow, malformed};
use tito_core::{TitoError, Transaction};

use super::config::EventStoreConfig;
use super::definition::EventStoreInfo;
use super::{Manager, honour};
use crate::append::GroupCommit;
use crate::catch_up::catch_up;
use crate::error::{EventStoreError, Result};
use crate::keys;
use crate::log::{Definition, Head, Log, Tail, channel, read_definition};
use crate::retention::{self, Dropped};
use crate::store::EventStore;

impl Manager {
    /// Creates a store.
    ///
    /// # Errors
    /// [`EventStoreError::StoreNameRequired`], [`EventStoreError::StoreExists`],
    /// [`EventStoreError::OptionNotHonoured`], and those of the engine, such as
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName).
    pub async fn create_event_store(&self, config: EventStoreConfig) -> Result<EventStore> {
        honour::check(self.database(), &config)?;
        let create = config.clone();
        let created = self.database().transaction_with(Default::default(), |tx: Transaction| async move {
            // The start of a transaction is unique in the database.
            let definition = Definition::new(tx.start_timestamp().raw(), &create)?;
            tx.system_keys().insert(keys::event_store(&create.name), definition.encode()?).await?;
            tx.system_keys().put(keys::log_head(definition.id), Head::default().encode()?).await?;
            tx.system_keys().put(keys::log_tail(definition.id), Tail::default().encode()?).await?;
            Ok::<_, EventStoreError>(definition)
        });
        match created.await {
            Ok(definition) => Ok(self.open(&config.name, &definition)),
            Err(EventStoreError::Engine(TitoError::AlreadyExists { .. })) => {
                Err(EventStoreError::StoreExists { name: config.name })
            }
            Err(error) => Err(error),
        }
    }

    /// A store that exists.
    ///
    /// # Errors
    /// [`EventStoreError::StoreNameRequired`], [`EventStoreError::StoreNotFound`], and those of the engine.
    pub async fn get_event_store(&self, name: &str) -> Result<EventStore> {
        let tx = self.database().begin().await?;
        let definition = read_definition(&tx, name).await;
        tx.rollback().await;
        Ok(self.open(name, &definition?))
    }

    /// Gives a store the description, metadata, limits and republishing rules of the configuration. Returns when rules
    /// that begin in the past have caught up.
    ///
    /// # Errors
    /// [`EventStoreError::StoreNotFound`], and as [`create_event_store`](Manager::create_event_store).
    pub async fn update_event_store(&self, config: EventStoreConfig) -> Result<EventStore> {
        honour::check(self.database(), &config)?;
        let update = config.clone();
        let group = self.group_of(&config.name).await?;
        let turn = group.turn(self.database()).await;
        let updated = self.database().transaction_with(Default::default(), |tx: Transaction| async move {
            let definition = read_definition(&tx, &update.name).await?;
            let head_key = keys::log_head(definition.id);
            let Some(head) = tx.get(&head_key).await? else {
                return Err(malformed(&head_key, Head::EXPECTED, "a store has one from its beginning").into());
            };
            let definition = definition.changed(&update, Head::decode(&head_key, &head)?.last)?;
            tx.system_keys().put(keys::event_store(&update.name), definition.encode()?).await?;
            // An append that went by the old one meets a conflict.
            tx.lock_keys(vec![keys::log_head(definition.id)]).await?;
            Ok::<_, EventStoreError>(definition)
        });
        let definition = updated.await?;
        drop(turn);
        catch_up(self.database(), &config.name).await?;
        Ok(self.open(&config.name, &definition))
    }

    /// Deletes a store with everything that belongs to it. It is gone at once; its space is freed in the background.
    ///
    /// # Errors
    /// [`EventStoreError::StoreNotFound`], and those of the engine.
    pub async fn delete_event_store(&self, name: &str) -> Result<()> {
        let delete = name.to_string();
        let group = self.group_of(name).await?;
        let _turn = group.turn(self.database()).await;
        let deleted = self.database().transaction_with(Default::default(), |tx: Transaction| async move {
            let definition = read_definition(&tx, &delete).await?;
            tx.system_keys().delete(keys::event_store(&delete)).await?;
            // An append that is under way meets a conflict, and then no store.
            tx.system_keys().delete(keys::log_head(definition.id)).await?;
            tx.system_keys().put(keys::dropped_log(definition.id), Dropped::at(tx.start_timestamp()).encode()?).await?;
            // Whoever waits for more of it learns that there is none.
            let (event_type, key) = (channel(definition.id), keys::log_head(definition.id));
            tx.signal(Signal { channel: event_type, number: 0, payload: key });
            Ok::<_, EventStoreError>(())
        });
        deleted.await?;
        self.sweep_in_background();
        Ok(())
    }

    /// The names of up to `limit` stores in their order, after a name.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn event_stores(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        let all = keys::event_stores();
        let mut rest = after.map_or(all.clone(), |name| all.after(&keys::event_store(name)));
        let mut found = Vec::new();
        // What is no store must not be taken for the end.
        while found.len() < limit {
            let wanted = limit - found.len();
            let tx = self.database().begin().await?;
            let page = tx.scan(rest.clone(), wanted).await;
            tx.rollback().await;
            let page = page?;
            found.extend(page.iter().filter_map(|(key, _)| keys::parse_event_store(key)));
            match page.last() {
                Some((last, _)) if page.len() == wanted => rest = rest.after(last),
                _ => break,
            }
        }
        Ok(found)
    }

    /// The appends that a change of a store has to take turns with. If it is another store by then, nothing is lost but
    /// the turn.
    async fn group_of(&self, name: &str) -> Result<Arc<GroupCommit>> {
        let tx = self.database().begin().await?;
        let definition = read_definition(&tx, name).await;
        tx.rollback().await;
        Ok(self.group(definition?.id))
    }

    fn open(&self, name: &str, definition: &Definition) -> EventStore {
        self.sweep_in_background();
        let log = Log::new(self.0.shared.clone(), name, definition.id);
        EventStore::new(log, self.group(definition.id))
    }

    fn sweep_in_background(&self) {
        let shared = &self.0.shared;
        shared.background.begin(|| retention::run(shared.database.clone(), shared.logger.clone()));
    }

    /// Drops what exceeds the limits of any store, and what is left of deleted ones. The manager does so by itself
    /// every few seconds; this is for programs that want it now.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn sweep(&self) -> Result<()> {
        retention::sweep(self.database()).await
    }
}

impl EventStore {
    /// Information about the store.
    ///
    /// # Errors
    /// [`EventStoreError::StoreNotFound`], and those of the engine.
    pub async fn info(&self) -> Result<EventStoreInfo> {
        let tx = self.database().begin().await?;
        let info = read_info(self, &tx).await;
        tx.rollback().await;
        info
    }
}

async fn read_info(store: &EventStore, tx: &Transaction) -> Result<EventStoreInfo> {
    let definition = read_definition(tx, store.name()).await?;
    let values = tx.batch_get(vec![keys::log_head(store.id()), keys::log_tail(store.id())]).await?;
    match <[Option<Vec<u8>>; 2]>::try_from(values) {
        Ok([Some(head), Some(tail)]) if definition.id == store.id() => {
            let head = Head::decode(&keys::log_head(store.id()), &head)?;
            let tail = Tail::decode(&keys::log_tail(store.id()), &tail)?;
            EventStoreInfo::of(definition, store.name().to_string(), &head, &tail)
        }
        _ => Err(EventStoreError::StoreNotFound { name: store.name().to_string() }),
    }
}
