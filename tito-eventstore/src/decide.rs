//! Commands decided on, and what was decided appended.

use std::collections::BTreeMap;

use tito_core::BoxError;

use crate::domain::{Command, Decider, DeciderEvolver, Evolver};
use crate::error::{EventStoreError, Result};
use crate::event::{Event, NewEvent};
use crate::read::{Cursor, Select, fold_all};
use crate::store::EventStore;

impl EventStore {
    /// Lets a model decide on a command, appends what it decided, and returns the last sequence; none if nothing
    /// happened. A [`Model`](crate::Model) gives its events the expectations that make the decision safe; a decider
    /// without one gives them itself.
    ///
    /// # Errors
    /// [`EventStoreError::CommandInvalid`], [`EventStoreError::Decider`] with what the decider said, and those of
    /// [`append`](EventStore::append): after a [`SequenceConflict`](EventStoreError::SequenceConflict) the model has to
    /// evolve before it decides again.
    pub async fn decide<C, D>(&self, decider: &D, command: &C) -> Result<Option<u64>>
    where
        C: Command + Sync,
        D: Decider<C> + Sync,
    {
        let events = decide(decider, command)?;
        if events.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.append(events).await?))
    }

    /// As [`decide`](EventStore::decide), and then the model evolves by what was appended. Those of its events whose ids
    /// the store had before are not folded again, and those of an entity of which a [`Model`](crate::Model) lacks earlier
    /// events come when these do: that is so only where the decider has expectations of its own.
    ///
    /// # Errors
    /// As [`decide`](EventStore::decide). [`EventStoreError::Evolver`] alone says that the events were appended: the
    /// model can't evolve by them, or they could not be read.
    pub async fn decide_and_evolve<C, M>(&self, model: &mut M, command: &C) -> Result<Option<u64>>
    where
        C: Command + Sync,
        M: DeciderEvolver<C> + Send + Sync,
    {
        let events = decide(model, command)?;
        if events.is_empty() {
            return Ok(None);
        }
        let subjects: Vec<_> =
            events.iter().map(|event| (event.entity().to_string(), event.event_type().to_string())).collect();
        let appended = self.append_each(events).await?;
        let new = appended.iter().filter(|event| event.is_new).map(|event| (event.sequence, event.previous));
        let previous: BTreeMap<u64, u64> = new.collect();
        if let (Some((first, _)), Some((last, _))) = (previous.first_key_value(), previous.last_key_value()) {
            // What one append adds has consecutive sequences.
            let select = Select::all().after(first - 1).up_to(*last);
            let first = *first;
            let mut cursor = Cursor::new(self, &select)?;
            let folded = fold_all(&mut cursor, &mut UpToDate { model, previous }).await;
            // As it is, an error of the engine would say that nothing was appended and the same can be tried again.
            folded.map_err(|error| {
                let sequence = error.sequence().unwrap_or(first);
                let of_event = appended.iter().zip(subjects).find(|(event, _)| event.sequence == sequence);
                not_evolved(sequence, of_event.map(|(_, subject)| subject).unwrap_or_default(), error)
            })?;
        }
        Ok(appended.iter().map(|event| event.sequence).max())
    }
}

fn not_evolved(sequence: u64, (entity, event_type): (String, String), error: EventStoreError) -> EventStoreError {
    match error {
        EventStoreError::Evolver { .. } => error,
        error => EventStoreError::Evolver { sequence, event_type, entity, source: error.into() },
    }
}

/// A model that evolves by those events only before which it lacks none of their entity.
struct UpToDate<'a, M> {
    model: &'a mut M,
    /// By the sequence of each event the last one of its entity before.
    previous: BTreeMap<u64, u64>,
}

impl<M: Evolver> Evolver for UpToDate<'_, M> {
    fn evolve(&mut self, event: &Event) -> std::result::Result<(), BoxError> {
        let previous = self.previous.get(&event.sequence()).copied().unwrap_or(0);
        if self.model.lacks(event.entity(), previous) {
            return Ok(());
        }
        self.model.evolve(event)
    }
}

fn decide<C: Command, D: Decider<C>>(decider: &D, command: &C) -> Result<Vec<NewEvent>> {
    command.validate().map_err(|source| EventStoreError::CommandInvalid { source })?;
    decider.decide(command).map_err(|source| EventStoreError::Decider { source })
}
