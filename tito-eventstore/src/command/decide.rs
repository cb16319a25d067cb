//! Commands decided on, and what was decided appended.

use tito_core::Transaction;
use tito_core::row::StoredRow;
use tracing::Instrument;

use super::ask::{Ask, Opened};
use super::decision::Decision;
use crate::append::{Append, Outcome, check_id, prepare};
use crate::domain::{Command, Decider, DeciderEvolver};
use crate::error::{EventStoreError, Result};
use crate::event::{Event, NewEvent};
use crate::keys;
use crate::log::{CommandMark, Decided};
use crate::read::evolve_one;
use crate::store::EventStore;

impl EventStore {
    /// Lets a model decide on a command, appends the events, and returns them with their sequences; none if nothing
    /// happened. A [`Model`](crate::Model) gives its events the expectations that make the decision safe; a decider
    /// without one has to set them itself.
    ///
    /// The command may be in an [`Envelope`](crate::Envelope), whose id makes a command take effect once even if it
    /// comes twice.
    ///
    /// ```
    /// # use tito_core::{BoxError, prelude::*};
    /// # use tito_eventstore::{Command, Decider, EventStore, EventStoreError, Model, NewEvent};
    /// # struct Open;
    /// # impl Command for Open {}
    /// # struct Account;
    /// # impl Decider<Open> for Account {
    /// #     fn decide(&self, _: &Open) -> Result<Vec<NewEvent>, BoxError> { Ok(Vec::new()) }
    /// # }
    /// # async fn example(bank: EventStore, account: Model<Account>) -> Result<(), EventStoreError> {
    /// let decision = bank.decide(&account, &Open).await?;
    /// for event in decision.events() {
    ///     println!("{}: {}", event.sequence(), event.subject());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`EventStoreError::CommandInvalid`], [`EventStoreError::Decider`] with what the decider said,
    /// [`EventStoreError::CommandIdTaken`], and those of [`append`](EventStore::append): after a
    /// [`SequenceConflict`](EventStoreError::SequenceConflict) the model has to evolve before it decides again.
    pub async fn decide<C, D, A>(&self, decider: &D, command: &A) -> Result<Decision>
    where
        C: Command + Send + Sync,
        D: Decider<C> + Sync,
        A: Ask<C> + Sync,
    {
        let (events, mark) = match self.ask(command).await? {
            Asked::Before(decision) => return Ok(decision),
            Asked::Now(asked, mark) => (decide(decider, asked)?, mark),
        };
        Ok(self.append_decided(events, mark).await?.0)
    }

    /// Like [`decide`](EventStore::decide), and then the model evolves by what was appended. Events whose ids the store
    /// already had are not folded again, and if a [`Model`](crate::Model) lacks earlier events of an entity, later ones
    /// are folded together with these, which can only happen if the decider sets its own expectations. The model does
    /// not evolve by the events of a command that was decided on before.
    ///
    /// # Errors
    /// Those of [`decide`](EventStore::decide). Only [`EventStoreError::Evolver`] means that the events were appended:
    /// the model can't evolve by one of them, and stays where it was before that.
    pub async fn decide_and_evolve<C, M, A>(&self, model: &mut M, command: &A) -> Result<Decision>
    where
        C: Command + Send + Sync,
        M: DeciderEvolver<C> + Send + Sync,
        A: Ask<C> + Sync,
    {
        let (events, mark) = match self.ask(command).await? {
            Asked::Before(decision) => return Ok(decision),
            Asked::Now(asked, mark) => (decide(model, asked)?, mark),
        };
        let (decision, outcome) = self.append_decided(events, mark).await?;
        for (event, appended) in decision.events.iter().zip(&outcome.appended) {
            if !decision.is_repeated && appended.is_new && !model.lacks(event.entity(), appended.previous) {
                evolve_one(model, event)?;
            }
        }
        Ok(decision)
    }

    async fn ask<'a, C, A>(&self, command: &'a A) -> Result<Asked<'a, C>>
    where
        C: Command + Send + Sync + 'a,
        A: Ask<C> + Sync,
    {
        let asked = command.open(self.types())?;
        asked.validate().map_err(|source| EventStoreError::CommandInvalid { source: source.into() })?;
        let Some(mark) = mark_of(&asked)? else { return Ok(Asked::Now(asked, None)) };
        Ok(match self.decided_before(&mark).await? {
            Some(decision) => Asked::Before(decision),
            None => Asked::Now(asked, Some(mark)),
        })
    }

    /// What a command has come to already.
    async fn decided_before(&self, mark: &CommandMark) -> Result<Option<Decision>> {
        let tx = self.database().begin().await?;
        let found = self.decided_in(&tx, mark).await;
        tx.rollback().await;
        found
    }

    async fn decided_in(&self, tx: &Transaction, mark: &CommandMark) -> Result<Option<Decision>> {
        let key = keys::log_command(self.id(), &mark.id);
        let Some(value) = tx.get(&key).await? else { return Ok(None) };
        let decided = Decided::decode(&key, &value)?;
        decided.check(mark)?;
        let events = self.events_at(tx, &decided.sequences).await?;
        Ok(Some(Decision { events, is_repeated: true }))
    }

    async fn append_decided(&self, events: Vec<NewEvent>, mark: Option<CommandMark>) -> Result<(Decision, Outcome)> {
        if events.is_empty() {
            return Ok(Default::default());
        }
        let span = || {
            let id = mark.as_ref().map(|mark| &*mark.id);
            let command_type = mark.as_ref().and_then(|mark| mark.command_type.as_deref());
            tracing::info_span!("tito.decide", store = self.name(), command.id = id, command.r#type = command_type)
        };
        let span = self.logger().with(span);
        let append = Append { events: prepare(self.log(), events)?, command: mark };
        let (outcome, append) = self.group().append(self.log(), append).instrument(span).await?;
        if outcome.is_repeated {
            // Another call was first, since it was looked for.
            let mark = append.command.as_ref();
            let decision = match mark {
                Some(mark) => self.decided_before(mark).await?,
                None => None,
            };
            return Ok((decision.unwrap_or(Decision { events: Vec::new(), is_repeated: true }), outcome));
        }
        let stored = append.events.iter().zip(&outcome.appended);
        let stored =
            stored.map(|(event, appended)| Event::decode(&[], appended.sequence, event.encode(outcome.recorded)));
        let mut events = stored.collect::<tito_core::Result<Vec<_>>>()?;
        // Those whose ids the store had before are as they were appended then.
        let before = outcome.appended.iter().filter(|appended| !appended.is_new).map(|appended| appended.sequence);
        let before: Vec<_> = before.collect();
        if !before.is_empty() {
            let tx = self.database().begin().await?;
            let found = self.events_at(&tx, &before).await;
            tx.rollback().await;
            for found in found? {
                events.iter_mut().filter(|event| event.sequence() == found.sequence()).for_each(|event| {
                    *event = found.clone();
                });
            }
        }
        Ok((Decision { events, is_repeated: false }, outcome))
    }
}

/// A command that was decided on before, or is to be now.
enum Asked<'a, C> {
    Before(Decision),
    Now(Opened<'a, C>, Option<CommandMark>),
}

fn mark_of<C: Command>(asked: &Opened<'_, C>) -> Result<Option<CommandMark>> {
    let Some(envelope) = asked.envelope() else { return Ok(None) };
    let Some(id) = &envelope.id else { return Ok(None) };
    check_id(id).map_err(|reason| EventStoreError::CommandInvalid { source: format!("its id: {reason}").into() })?;
    Ok(Some(CommandMark::new(id.clone(), envelope.command_type.clone(), asked.content())))
}

fn decide<C: Command, D: Decider<C>>(decider: &D, asked: Opened<'_, C>) -> Result<Vec<NewEvent>> {
    asked.decide(decider).map_err(|source| EventStoreError::Decider { source: source.into() })
}
