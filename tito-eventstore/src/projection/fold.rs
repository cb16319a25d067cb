//! Events folded into one generation, within one transaction.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tito_core::database::{Namespace, RowAccess};
use tito_core::{BoxError, TitoError, Transaction, panics};

use super::projector::Projector;
use super::run::Folding;
use super::view::OWNER;
use crate::error::EventStoreError;
use crate::event::Event;
use crate::keys;
use crate::read::Cursor;

/// A transaction ends after so many events.
const MOST_EVENTS: usize = 200;

/// And when its projector has written about so many keys,
const MOST_KEYS: usize = 2_000;

/// or so many bytes: what is far below the limits of an engine, and what a cluster commits quickly.
const MOST_BYTES: usize = 2 << 20;

/// A transaction goes over so many sequences at most, however few of them are selected.
const MOST_SEQUENCES: u64 = 10_000;

/// Why a transaction did not go as it should.
pub(super) enum Stopped {
    /// An event can't be read, or the projector could not fold it.
    ByEvent {
        generation: u64,
        /// Where the transaction had begun.
        after: u64,
        /// The event.
        sequence: u64,
        error: Box<EventStoreError>,
    },
    /// Anything else.
    ByStore(EventStoreError),
}

impl From<TitoError> for Stopped {
    fn from(error: TitoError) -> Self {
        Self::ByStore(error.into())
    }
}

impl From<EventStoreError> for Stopped {
    fn from(error: EventStoreError) -> Self {
        Self::ByStore(error)
    }
}

impl<P: Projector> Folding<P> {
    /// Folds events after a sequence and up to another into a generation, as many as fit, and returns the sequence up to
    /// which all are folded.
    pub(super) async fn fold(
        &self,
        tx: &Transaction,
        (generation, access): (u64, RowAccess),
        (after, up_to): (u64, u64),
    ) -> Result<u64, Stopped> {
        let store = &self.store;
        let namespace = Arc::new(Namespace::new(keys::log_view(store.id(), &self.name, generation), access, OWNER));
        let view = tx.in_namespace(namespace.clone());
        let end = up_to.min(after.saturating_add(MOST_SEQUENCES));
        let select = self.projector.select();
        let first = after.max(select.begin());
        let last = select.end().map_or(end, |selected| selected.min(end));
        if first >= last {
            return Ok(end);
        }
        let clock = store.database().clock();
        let enough_time = clock.monotonic_millis() + store.database().max_transaction_age_millis() / 4;
        // What it reads is in all later snapshots as well, so it need not be this transaction's.
        let mut cursor = Cursor::new(store, &select.after(first).up_to(last))?;
        let mut events = 0;
        loop {
            let page = match cursor.next_page().await {
                Ok(page) => page,
                Err(error) => return unreadable(&cursor, (generation, after), error),
            };
            if page.is_empty() {
                return Ok(end);
            }
            for event in &page {
                if let Err(source) = self.project(event, &view).await {
                    return Err(self.stopped((generation, after), event, source));
                }
                events += 1;
                let (keys, bytes) = namespace.written();
                let is_full = events >= MOST_EVENTS || keys >= MOST_KEYS || bytes >= MOST_BYTES;
                if is_full || clock.monotonic_millis() >= enough_time {
                    return Ok(event.sequence());
                }
            }
        }
    }

    /// A projector's panic is a failure like others, so that it is known by which event.
    async fn project(&self, event: &Event, view: &Transaction) -> Result<(), BoxError> {
        // On the heap: what it comes to is the application's. Called and dropped in there, too.
        let project = Box::pin(async { self.projector.project(event, view).await });
        match AssertUnwindSafe(project).catch_unwind().await {
            Ok(result) => result,
            Err(panic) => Err(format!("the projector panicked: {}", panics::text_of(panic)).into()),
        }
    }

    fn stopped(&self, (generation, after): (u64, u64), event: &Event, source: BoxError) -> Stopped {
        match source.downcast::<TitoError>() {
            // It is not the event that is at fault.
            Ok(error) if is_passing(&error) => Stopped::ByStore((*error).into()),
            other => {
                let source = other.map_or_else(|source| source, |error| error as BoxError);
                let error = EventStoreError::Projector {
                    projection: self.name.clone(),
                    sequence: event.sequence(),
                    event_type: event.event_type().to_string(),
                    entity: event.entity().to_string(),
                    source: source.into(),
                };
                Stopped::ByEvent { generation, after, sequence: event.sequence(), error: error.into() }
            }
        }
    }
}

/// What comes of an error of reading. If it is that of an event, what is before the event is folded by itself, and then
/// the event stops the generation as one that the projector fails on does.
fn unreadable(cursor: &Cursor, (generation, after): (u64, u64), error: EventStoreError) -> Result<u64, Stopped> {
    match cursor.at_fault() {
        Some(at_fault) if at_fault.sequence > after + 1 => Ok(at_fault.sequence - 1),
        Some(at_fault) => Err(Stopped::ByEvent { generation, after, sequence: at_fault.sequence, error: error.into() }),
        None => Err(Stopped::ByStore(error)),
    }
}

/// Whether trying the same again can help: a projector may have kept the transaction of a run that was cut off.
pub(super) fn is_passing(error: &TitoError) -> bool {
    error.is_transient() || matches!(error, TitoError::TransactionEnded)
}
