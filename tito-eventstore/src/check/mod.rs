//! A store looked through by what its application knows of it: data decoded and validated, models folded, snapshots
//! compared with what the events fold into.
//!
//! | file | idea |
//! |---|---|
//! | this one | what is to be checked, and what is found |
//! | `fold` | one model, folded from its events and compared with its snapshots |
//! | `walk` | the store, page by page |

mod fold;
mod walk;

use std::fmt;
use std::sync::Arc;

use tito_core::DatabaseSnapshot;

use crate::domain::Evolver;
use crate::error::Result;
use crate::select::Select;
use crate::types::Registry;

pub use self::walk::StoreChecking;

/// What an application knows of one of its event stores, by which all of it can be checked: `tito_backup::VerifyOptions`
/// takes it.
///
/// ```
/// use tito_core::BoxError;
/// use tito_eventstore::types::Registry;
/// use tito_eventstore::{Event, Evolver, StoreCheck, TitoEventType};
///
/// #[derive(TitoEventType)]
/// enum AccountEvent {
///     Deposited { cents: u64 },
///     Withdrawn { cents: u64 },
/// }
///
/// #[derive(Default)]
/// struct Account {
///     cents: u64,
/// }
///
/// impl Evolver for Account {
///     fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
///         match event.data()? {
///             AccountEvent::Deposited { cents } => self.cents += cents,
///             AccountEvent::Withdrawn { cents } => self.cents = self.cents.checked_sub(cents).ok_or("overdrawn")?,
///         }
///         Ok(())
///     }
/// }
///
/// let types = Registry::builder().event::<AccountEvent>().build()?;
/// let bank = StoreCheck::new("bank").types(types).fold_each("account", Account::default);
/// # Ok::<(), tito_eventstore::EventStoreError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct StoreCheck {
    store: String,
    types: Option<Registry>,
    folds: Vec<Fold>,
}

/// A model that is folded.
#[derive(Clone)]
struct Fold {
    of: Of,
    /// What errors call the model.
    model: &'static str,
    new: New,
}

type New = Arc<dyn Fn() -> Box<dyn Evolver + Send> + Send + Sync>;

/// From what a model is folded.
#[derive(Clone)]
enum Of {
    /// One from each entity of a type.
    EachEntity(String),
    /// One from a selection.
    Selection(Select),
}

impl StoreCheck {
    /// Of the store with this name nothing is known yet.
    pub fn new(store: impl Into<String>) -> Self {
        Self { store: store.into(), types: None, folds: Vec::new() }
    }

    /// The data of every event is brought to the version that the registry knows, decoded, and validated.
    pub fn types(mut self, types: Registry) -> Self {
        self.types = Some(types);
        self
    }

    /// A model is folded from the events of each entity of a type, one after the other, and its snapshots of its own version
    /// have to be what the events up to their sequence fold into.
    pub fn fold_each<M: Evolver + Send + 'static>(
        self,
        entity_type: impl Into<String>,
        new: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self {
        self.folded(Of::EachEntity(entity_type.into()), new)
    }

    /// One model is folded from a selection, as [`EventStore::evolve`](crate::EventStore::evolve) would, and its snapshots
    /// are compared as those of [`fold_each`](StoreCheck::fold_each).
    pub fn fold<M: Evolver + Send + 'static>(
        self,
        select: impl Into<Select>,
        new: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self {
        self.folded(Of::Selection(select.into()), new)
    }

    fn folded<M: Evolver + Send + 'static>(mut self, of: Of, new: impl Fn() -> M + Send + Sync + 'static) -> Self {
        let new: New = Arc::new(move || Box::new(new()));
        self.folds.push(Fold { of, model: std::any::type_name::<M>(), new });
        self
    }

    /// The name of the store.
    pub fn store(&self) -> &str {
        &self.store
    }

    /// Begins to look through the store as a snapshot of its database has it; `None` if it has no such store.
    ///
    /// # Errors
    /// Those of the patterns of selections, [`TitoError::Malformed`](tito_core::TitoError::Malformed) for a definition or
    /// ends of the store that can't be read, and those of the engine.
    pub async fn begin<'a>(&self, snapshot: &'a DatabaseSnapshot) -> Result<Option<StoreChecking<'a>>> {
        StoreChecking::begin(self, snapshot).await
    }
}

impl fmt::Debug for StoreCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<_> = self.folds.iter().map(|fold| fold.model).collect();
        f.debug_struct("StoreCheck")
            .field("store", &self.store)
            .field("types", &self.types)
            .field("models", &models)
            .finish()
    }
}

/// What was looked at of a store, and how much of it is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreReport {
    /// The name of the store.
    pub store: String,
    /// Events that were read.
    pub events: u64,
    /// Whether their data was decoded and validated: no types were given otherwise.
    pub are_types_checked: bool,
    /// Models that were folded to the end.
    pub folded: u64,
    /// Models with snapshots that were not folded, as some of their events were dropped and no snapshot stands in for them.
    pub cut_off: u64,
    /// Types of entities of which no model was given.
    pub types_not_folded: Vec<String>,
    /// Snapshots that were compared.
    pub snapshots: u64,
    /// What is wrong, altogether.
    pub faults: u64,
}

/// What is wrong in a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFault {
    /// The data of an event can't be read as its type, or the type's validator refuses it.
    #[error("the data of event {sequence}, {event_type:?} of {entity:?}, is not as its type says: {reason}")]
    Data {
        /// The event.
        sequence: u64,
        /// What it is about.
        entity: String,
        /// What happened.
        event_type: String,
        /// Why.
        reason: String,
    },

    /// A model can't be folded any further.
    #[error("{model} can't be folded by event {sequence} of {entity:?}: {reason}")]
    Fold {
        /// The event that it can't evolve by.
        sequence: u64,
        /// What that is about.
        entity: String,
        /// The type of the model.
        model: String,
        /// Why.
        reason: String,
    },

    /// A snapshot is not what the events up to its sequence fold into.
    #[error("the snapshot of {model} up to sequence {sequence} is not what the events fold into: {reason}")]
    Snapshot {
        /// The snapshot's key.
        key: Vec<u8>,
        /// Up to where it was folded.
        sequence: u64,
        /// The type of the model.
        model: String,
        /// Why.
        reason: String,
        /// Whether events that it stands in for were dropped, so that nothing else can take its place.
        is_needed: bool,
    },
}
