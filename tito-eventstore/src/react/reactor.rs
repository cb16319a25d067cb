//! A reactor, as programs hold it.

use std::fmt;
use std::sync::Arc;

use tito_core::engine::Signal;
use tito_core::event::Topic;
use tito_core::row::StoredRow;
use tito_core::{TitoError, Transaction};
use tito_worker::{Order, Subscription, WorkerBuilder};

use super::feed::Reacting;
use super::from::ReactFrom;
use super::position::Position;
use super::reaction::Reaction;
use crate::error::{EventStoreError, Result};
use crate::keys;
use crate::log::{Definition, check_topic, read_definition, topic};
use crate::select::Select;
use crate::store::EventStore;

/// A handler's place in a store: it follows the store from there and handles each event, in whichever process, until
/// the event is done or failed for good. [`EventStore::react`] makes it; clones are the same reactor.
///
/// A worker serves it like a topic, named after the store and the reactor with a dot between them: with attempts, dead
/// letters, timeouts, in fleets; it can be paused and inspected by this name ([`TitoQueue`](tito_worker::TitoQueue)).
/// Events are read from the store, so for events that are done at once a reactor writes nothing but its position, for
/// many events together.
#[derive(Clone)]
pub struct Reactor {
    store: EventStore,
    name: Arc<str>,
    select: Select,
}

impl EventStore {
    /// A reactor for the events that a filter selects: a pattern, or a [`Select`]. It is created if there is none with
    /// this name, and then begins at `from`; later calls continue where it is. The filter is not stored: each program
    /// that serves the reactor brings its own, and a changed one applies from the reactor's current position on.
    ///
    /// [`Reaction`] says what a handler can be, and has an example.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`] for a name that is empty, has one of `.`, `:` and `@`, makes too long a topic name
    /// together with the store's, or belongs to a projection of the store; those of the filter's patterns;
    /// [`StoreNotFound`](EventStoreError::StoreNotFound), and those of the engine.
    pub async fn react(&self, name: &str, filter: impl Into<Select> + Send, from: ReactFrom) -> Result<Reactor> {
        let select = filter.into();
        select.patterns()?;
        check_topic("reactor", self.name(), name)?;
        let run = (self.clone(), name.to_string());
        let add = |tx: Transaction| async move {
            let (store, name) = run;
            let definition = read_current(&store, &tx).await?;
            if definition.projections.contains(&name) {
                let reason = "a projection of the store has it, whose topic it would share";
                return Err(TitoError::InvalidName { what: "reactor", name, reason }.into());
            }
            let key = keys::log_reactor(store.id(), &name);
            if let Some(stored) = tx.get(&key).await? {
                Position::decode(&key, &stored)?;
                return Ok(());
            }
            let position = Position::new(tx.start_timestamp().raw(), from.after(&store, &tx).await?);
            tx.system_keys().put(key, position.encode()?).await?;
            // A deletion of the store, a projection of the name, or an erasure that did not see the reactor, meets a conflict.
            tx.lock_keys(vec![keys::event_store(store.name()), keys::log_tail(store.id())]).await?;
            tell(&store, &tx);
            Ok::<_, EventStoreError>(())
        };
        self.transaction(add).await?;
        Topic::ensure(self.database(), &topic(self.name(), name), 1).await?;
        Ok(Reactor { store: self.clone(), name: name.into(), select })
    }
}

impl Reactor {
    /// The reactor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its topic: the names of the store and the reactor with a dot between them.
    pub fn topic(&self) -> String {
        topic(self.store.name(), &self.name)
    }

    /// Makes a worker of the same database serve the reactor, in [strict order](Order::Strict) and otherwise with the
    /// default [`Subscription`]. Any number of workers can; the one that owns the topic's first partition does so.
    pub fn subscribe<Args>(&self, worker: WorkerBuilder, handler: impl Reaction<Args>) -> WorkerBuilder {
        self.subscribe_with(worker, Subscription::default().order(Order::Strict), handler)
    }

    /// Like [`subscribe`](Reactor::subscribe), with these settings. [`delay`](Subscription::delay) applies only to
    /// retries, and in [relaxed order](Order::Relaxed) later events of an entity don't wait for one that has failed.
    pub fn subscribe_with<Args>(
        &self,
        worker: WorkerBuilder,
        settings: Subscription,
        handler: impl Reaction<Args>,
    ) -> WorkerBuilder {
        let reacting = Arc::new(Reacting {
            store: self.store.clone(),
            name: self.name.clone(),
            select: self.select.clone(),
            handler: handler.erased(),
        });
        let settings = settings.new_topic_partitions(1);
        worker.subscribe_fed(self.topic(), settings, reacting.deliver(), reacting)
    }
}

/// The store's definition, if it is still the same store.
pub(super) async fn read_current(store: &EventStore, tx: &Transaction) -> Result<Definition> {
    let definition = read_definition(tx, store.name()).await?;
    if definition.id != store.id() {
        return Err(EventStoreError::StoreNotFound { name: store.name().to_string() });
    }
    Ok(definition)
}

/// Tells those of this process who serve a reactor of the store that there is something to look at.
pub(super) fn tell(store: &EventStore, tx: &Transaction) {
    tx.signal(Signal { channel: store.channel().clone(), number: 0, payload: keys::log_head(store.id()) });
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, name, select } = self;
        f.debug_struct("Reactor").field("store", store).field("name", name).field("select", select).finish()
    }
}
