//! Handlers that get the transaction that acknowledges their events.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use tito_core::event::TitoEvent;
use tito_core::{Result, TitoError, Transaction};

use super::attempt::Verdict;
use super::decide::{Ended, HandledBy};
use super::lanes::Few;
use super::record::{Recorded, Recording};
use super::runner::{Delivery, Runner};
use super::turns::Turns;
use crate::error_text::text_of;
use crate::fate::Fate;
use crate::handler::{Context, Function as Handle};
use crate::observe::Run;
use crate::same_attempt::are_same_attempt;

impl Runner {
    /// Runs the handler and records the fate of its events, all in one transaction.
    pub(super) async fn run_in_transaction(
        &self,
        deliveries: &[Delivery],
        decoded: Few<Box<TitoEvent>>,
        runs: &[Run],
    ) -> Result<Few<Verdict>, Ended> {
        // Hardly any transaction is replayed, so only the first attempt gets the decoded events.
        let decoded = Mutex::new(decoded);
        let attempt = |tx| {
            let decoded = std::mem::take(&mut *decoded.lock().unwrap_or_else(PoisonError::into_inner));
            self.attempt_in(tx, deliveries, decoded, runs)
        };
        match self.database.transaction(attempt).await {
            Ok(Some(verdicts)) => Ok(verdicts),
            Ok(None) => {
                self.source.outdated.notify_one();
                // The earliest, which is the one at fault: some may have been read under a later revision, which says
                // nothing against it.
                let revision = deliveries
                    .iter()
                    .map(|one| one.origin.revision)
                    .min()
                    .expect("an attempt is made for an event at least");
                Ok(deliveries.iter().map(|_| Verdict::Fenced { revision }).collect())
            }
            Err(error) => Err(self.transaction_failed(&error)),
        }
    }

    /// `None` if the partition is no longer this worker's, or its order is outdated.
    async fn attempt_in(
        &self,
        tx: Transaction,
        deliveries: &[Delivery],
        decoded: Few<Box<TitoEvent>>,
        runs: &[Run],
    ) -> Result<Option<Few<Verdict>>> {
        let order = self.policy.order;
        // All of them belong to one partition, and were read by one worker that owns it.
        let Some(origin) = deliveries.first().map(|delivery| &delivery.origin) else { return Ok(Some(Few::new())) };
        // As this transaction sees them, so that if two workers handle them, only one commits.
        let handed_out = deliveries.iter().map(|one| (one.key.as_slice(), one.stored.as_slice(), one.version));
        let checked = origin.fence.check(&tx, handed_out.collect()).await?;
        let is_fenced = |delivery: &Delivery| order.is_fenced(delivery.origin.revision, checked.topic.revision);
        if !checked.is_owned || deliveries.iter().any(is_fenced) {
            return Ok(None);
        }
        let mut stored = Vec::with_capacity(deliveries.len());
        let mut durations = Vec::with_capacity(deliveries.len());
        let mut events = Vec::with_capacity(deliveries.len());
        let mut scopes = Vec::with_capacity(deliveries.len());
        let mut decoded = decoded.into_iter();
        let mut passed_over = Few::new();
        let mut turns = Turns::new(order);
        for ((delivery, run), bytes) in deliveries.iter().zip(runs).zip(checked.rows) {
            let as_read = decoded.next();
            let verdict = match &bytes {
                _ if !turns.has_turn(delivery.entity) => Some(Verdict::NotBegun),
                None => Some(Verdict::Recorded(Recorded::ELSEWHERE)),
                // Its next step or attempt may be for later.
                Some(Cow::Owned(bytes)) if !are_same_attempt(&delivery.key, &delivery.stored, bytes) => {
                    Some(Verdict::Recorded(Recorded::CHANGED))
                }
                Some(_) => None,
            };
            let Some(bytes) = bytes.filter(|_| verdict.is_none()) else {
                let verdict = verdict.expect("what is stored is passed over only with a verdict");
                turns.note(delivery.entity, &verdict);
                passed_over.push(verdict);
                continue;
            };
            // Hardly any was changed since it was read, by its progress or another worker.
            let as_read = as_read.filter(|_| matches!(bytes, Cow::Borrowed(_)) || *bytes == delivery.stored);
            events.push(as_read.map_or_else(|| TitoEvent::decode_known(&delivery.key, &bytes).map(Box::new), Ok)?);
            scopes.push(run);
            stored.push((delivery, bytes));
        }
        // What a handler keeps of the transaction ends with the handler.
        let lent = tx.lend();
        let context = |event| Context::new(event, self.database.clone(), Some(lent.handle()));
        let outcomes = match &self.handler.run {
            Handle::Batch(_) if events.is_empty() => Vec::new(),
            Handle::Batch(handler) => {
                let events = events.into_iter().map(|event| *event).collect();
                let outcomes = handler(events, context(None)).await.map_err(TitoError::application)?;
                durations.extend(scopes.iter().map(|run| run.elapsed()));
                outcomes
            }
            Handle::One(handler) => {
                let mut outcomes = Vec::with_capacity(events.len());
                for (event, run) in events.into_iter().zip(scopes) {
                    let handled = run.scope(async { handler(context(Some(event))).await }).await;
                    outcomes.push(handled.map_err(TitoError::application)?);
                    durations.push(run.elapsed());
                }
                outcomes
            }
        };
        drop(lent);
        let mut turns = Turns::new(order);
        let recording = Recording { tx: &tx, runner: self, topic: &checked.topic, partition: origin.partition };
        let mut passed_over = passed_over.into_iter();
        let mut handled = stored.into_iter().zip(outcomes.into_iter().zip(durations)).peekable();
        let mut verdicts = Few::with_capacity(deliveries.len());
        for delivery in deliveries {
            let Some(((_, stored), (outcome, duration))) =
                handled.next_if(|((handled, _), _)| handled.key == delivery.key)
            else {
                verdicts.extend(passed_over.next());
                continue;
            };
            if !turns.has_turn(delivery.entity) {
                let overtaken = "an event of the batch was postponed, and later ones have to wait";
                return Err(TitoError::Application(overtaken.into()));
            }
            let ended = Ended::from(outcome);
            let handled_by = HandledBy { worker: origin.worker(), duration: Some(duration) };
            let recorded = recording.record(&delivery.key, stored, &ended, handled_by).await?;
            if ended.is_step() && recorded.fate != Fate::Advanced {
                // Otherwise what the step did would stand, and be done again when its dead letter is redriven.
                return Err(TitoError::application(recorded.error().unwrap_or_default().to_string()));
            }
            let verdict = Verdict::Recorded(recorded);
            turns.note(delivery.entity, &verdict);
            verdicts.push(verdict);
        }
        Ok(Some(verdicts))
    }

    /// The fate of an event whose transaction did not commit. If the engine failed and not the handler, no attempt is
    /// counted; a handler that met one conflict after another has failed.
    fn transaction_failed(&self, error: &TitoError) -> Ended {
        match error {
            // Together they might conflict for ever, and one by one they conflict less. One that always conflicts,
            // perhaps with itself, would also run for ever.
            TitoError::RetriesExhausted { source, .. } if matches!(**source, TitoError::Conflict { .. }) => {
                Ended::failed(text_of(error))
            }
            TitoError::Application(error) => Ended::failed(text_of(&**error)),
            error if error.is_engine_failure() || matches!(error, TitoError::RetriesExhausted { .. }) => {
                self.log_engine(None, error, "a handler's transaction failed");
                Ended::EngineFailed
            }
            error => Ended::failed(text_of(error)),
        }
    }
}
