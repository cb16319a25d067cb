//! Models that several tasks share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tito_core::BoxError;

use crate::domain::{Command, Decider, Envelope, Evolver, Snapshot, Viewer};
use crate::event::{Event, NewEvent};

/// A model that several tasks share: clones are the same model. It remembers the last sequence of each entity by which
/// it has evolved, skips events that it has already seen, and makes its decisions expect these sequences, so that the
/// store refuses a decision on an outdated state.
///
/// For that it has to see all events of the entities that it decides about, in the order of their sequences: an event
/// of an entity with a sequence before the last one counts as seen. So every selection that it evolves by should
/// include all event types of its entities.
///
/// ```
/// use tito_core::{BoxError, prelude::*};
/// use tito_eventstore::{
///     Command, Decider, Event, EventStore, EventStoreError, Evolver, Model, NewEvent,
/// };
///
/// #[derive(Default)]
/// struct Account {
///     is_open: bool,
/// }
///
/// struct Open;
/// impl Command for Open {}
///
/// impl Decider<Open> for Account {
///     fn decide(&self, _: &Open) -> Result<Vec<NewEvent>, BoxError> {
///         if self.is_open {
///             return Err("the account is open".into());
///         }
///         Ok(vec![NewEvent::raw("account.17", "opened", "ada")])
///     }
/// }
///
/// impl Evolver for Account {
///     fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
///         self.is_open |= event.event_type() == "opened";
///         Ok(())
///     }
/// }
///
/// # async fn example(bank: EventStore) -> Result<(), EventStoreError> {
/// let mut account = Model::new(Account::default());
/// bank.evolve(&mut account, "account.17").await?;
/// bank.decide_and_evolve(&mut account, &Open).await?;
/// assert!(account.with(|account| account.is_open));
/// # Ok(())
/// # }
/// ```
pub struct Model<T>(Arc<RwLock<Inner<T>>>);

struct Inner<T> {
    value: T,
    /// The last sequence of each entity that the value was evolved by.
    applied: HashMap<String, u64>,
}

impl<T> Inner<T> {
    /// Not only the first event of an entity expects its last sequence: that may be there already, and then it expects
    /// nothing.
    fn expecting(&self, events: Vec<NewEvent>) -> Vec<NewEvent> {
        let expecting = |event: NewEvent| {
            if event.has_expectation() {
                return event;
            }
            let applied = self.applied.get(event.entity()).copied().unwrap_or(0);
            event.expect_sequence(applied)
        };
        events.into_iter().map(expecting).collect()
    }
}

impl<T> Model<T> {
    /// A model that has not evolved by anything yet.
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Inner { value, applied: HashMap::new() })))
    }

    /// Looks at the value. Blocks tasks that evolve it, but not others that look.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.read().value)
    }

    /// The last sequence of an entity, `type.id`, by which the model has evolved; 0 if there is none.
    pub fn last_sequence(&self, entity: &str) -> u64 {
        self.read().applied.get(entity).copied().unwrap_or(0)
    }

    // A panic of an evolver leaves the value as it is, and the application to judge it.
    fn read(&self) -> RwLockReadGuard<'_, Inner<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<T>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Evolver> Evolver for Model<T> {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        let mut inner = self.write();
        if inner.applied.get(event.entity()).is_some_and(|applied| *applied >= event.sequence()) {
            return Ok(());
        }
        inner.value.evolve(event)?;
        match inner.applied.get_mut(event.entity()) {
            Some(applied) => *applied = event.sequence(),
            None => {
                inner.applied.insert(event.entity().to_string(), event.sequence());
            }
        }
        Ok(())
    }

    fn lacks(&self, entity: &str, previous: u64) -> bool {
        self.last_sequence(entity) < previous
    }

    fn as_snapshot(&mut self) -> Option<&mut dyn Snapshot> {
        let has_snapshots = self.write().value.as_snapshot().is_some();
        has_snapshots.then_some(self)
    }
}

impl<C: Command, T: Decider<C>> Decider<C> for Model<T> {
    /// What the value decides. Every event that expects nothing itself expects the last sequence of its entity by which
    /// the model has evolved.
    fn decide(&self, command: &C) -> Result<Vec<NewEvent>, BoxError> {
        let inner = self.read();
        Ok(inner.expecting(inner.value.decide(command)?))
    }

    fn decide_enveloped(&self, envelope: &Envelope<C>) -> Result<Vec<NewEvent>, BoxError> {
        let inner = self.read();
        Ok(inner.expecting(inner.value.decide_enveloped(envelope)?))
    }
}

impl<T: Viewer> Viewer for Model<T> {
    type View = T::View;

    fn view(&self) -> T::View {
        self.read().value.view()
    }
}

/// Bytes that say how long what follows is.
const LENGTH_BYTES: usize = 8;

impl<T: Evolver> Snapshot for Model<T> {
    fn name(&self) -> String {
        // Not that of the value: a snapshot of it alone lacks the sequences.
        self.of_value(|value| value.name()).map_or_else(String::new, |name| format!("model:{name}"))
    }

    fn version(&self) -> u32 {
        self.of_value(|value| value.version()).unwrap_or(1)
    }

    fn every(&self) -> u64 {
        self.of_value(|value| value.every()).unwrap_or(0)
    }

    fn is_new(&self) -> bool {
        self.read().applied.is_empty()
    }

    fn save(&self) -> Result<Vec<u8>, BoxError> {
        let mut inner = self.write();
        let state = inner.value.as_snapshot().ok_or("the model has no snapshots")?.save()?;
        let applied = serde_json::to_vec(&inner.applied)?;
        Ok(join(&applied, &state))
    }

    fn upgrade(&self, version: u32, state: &[u8]) -> Result<Option<Vec<u8>>, BoxError> {
        let (applied, state) = split(state)?;
        let upgraded = self.of_value(|value| value.upgrade(version, state)).unwrap_or(Ok(None))?;
        Ok(upgraded.map(|state| join(applied, &state)))
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        let (applied, state) = split(state)?;
        let applied = serde_json::from_slice(applied)?;
        let mut inner = self.write();
        if !inner.applied.is_empty() {
            return Err("the model was evolved before".into());
        }
        inner.value.as_snapshot().ok_or("the model has no snapshots")?.restore(state)?;
        inner.applied = applied;
        Ok(())
    }
}

/// The sequences, as JSON, and the state of the value.
fn join(applied: &[u8], state: &[u8]) -> Vec<u8> {
    [&(applied.len() as u64).to_le_bytes()[..], applied, state].concat()
}

fn split(state: &[u8]) -> Result<(&[u8], &[u8]), BoxError> {
    let short = "the state ends too early";
    let (length, rest) = state.split_first_chunk::<LENGTH_BYTES>().ok_or(short)?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    Ok(rest.split_at_checked(length).ok_or(short)?)
}

impl<T: Evolver> Model<T> {
    fn of_value<R>(&self, ask: impl FnOnce(&mut dyn Snapshot) -> R) -> Option<R> {
        self.write().value.as_snapshot().map(ask)
    }
}

impl<T> Clone for Model<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for Model<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Model<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|value| f.debug_tuple("Model").field(value).finish())
    }
}
