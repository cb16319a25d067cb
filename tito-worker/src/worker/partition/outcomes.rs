//! What handlers came to, and its recording.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tito_core::{Result, TitoError};

use super::{CHECKPOINT_EVERY, Partition, next_pause};
use crate::worker::lanes::{Entity, Finished};
use crate::worker::record::{Disposition, Recorded, RecordedBatch, Unrecorded, record_all};
use crate::worker::runner::Verdict;

/// How many outcomes are recorded in one transaction.
const MOST_RECORDED: usize = 1_024;

impl Partition {
    pub(super) fn take_finished(&mut self) {
        let finished = self.lanes.take_finished();
        self.unrecorded.reserve(finished.len());
        for Finished { key, entity, verdict, is_suspended } in finished {
            match verdict {
                Verdict::Unrecorded(disposition) => {
                    self.unrecorded.push(Unrecorded { key, entity, disposition, is_suspended });
                }
                Verdict::Recorded(recorded) => self.release(&key, entity, recorded, is_suspended),
                Verdict::Fenced { revision } => {
                    self.held.release(&key, self.reading.is_some());
                    self.withdraw(entity, key);
                    // What was read under an earlier revision has been put back when the later one came.
                    if revision == self.origin.revision {
                        self.fence();
                    }
                }
                // The lanes keep it.
                Verdict::NotBegun => {}
            }
        }
    }

    /// Stops handing out until it is known who owns the partition, and in which order its events are.
    pub(super) fn fence(&mut self) {
        self.put_back_unstarted();
        self.is_fenced = true;
        self.runner.outdated.notify_one();
    }

    /// Everything that is ready is recorded in one transaction, one at a time: while it is under way more gets ready.
    pub(super) fn start_recording(&mut self) {
        if self.recording.is_some() || (self.unrecorded.is_empty() && self.batch.is_empty()) {
            return;
        }
        if self.batch.is_empty() {
            let rest = self.unrecorded.split_off(self.unrecorded.len().min(MOST_RECORDED));
            self.batch = Arc::new(std::mem::replace(&mut self.unrecorded, rest));
        }
        let now = self.engine.clock().now_millis();
        let mut floor = None;
        if let Some(reader) = self.reader.as_ref().filter(|_| now >= self.next_checkpoint) {
            floor = Some(reader.floor(self.first_kept_second()));
            self.next_checkpoint = now + CHECKPOINT_EVERY;
        }
        let (engine, runner, origin) = (self.engine.clone(), self.runner.clone(), self.origin.clone());
        let (batch, pause) = (self.batch.clone(), self.record_pause);
        self.recording = Some(
            async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let _commit = runner.observe.meters.time_acknowledgement(batch.len());
                record_all(&engine, &runner, &origin, &batch, floor).await
            }
            .boxed(),
        );
    }

    pub(super) fn take_recorded(&mut self, result: Result<RecordedBatch>) -> Result<()> {
        let RecordedBatch { recorded, is_owned, revision } = match result {
            Ok(recorded) => recorded,
            // Each outcome has room by itself.
            Err(TitoError::LimitExceeded { .. }) if self.batch.len() > 1 => {
                let mut batch = self.batch.to_vec();
                let rest = batch.split_off(batch.len() / 2);
                self.unrecorded.splice(..0, rest);
                self.batch = Arc::new(batch);
                return Ok(());
            }
            // An event that fits only as it is stored: it would keep all others from being recorded for ever.
            Err(error @ TitoError::LimitExceeded { .. })
                if self.batch.iter().all(|one| {
                    matches!(
                        one.disposition,
                        Disposition::Retry { .. } | Disposition::Reschedule { .. } | Disposition::TryAgain
                    )
                }) =>
            {
                let give_up = |one: &Unrecorded| {
                    let error = format!("there is no room to put it off: {error}");
                    Unrecorded { disposition: Disposition::Dead { error }, ..one.clone() }
                };
                self.batch = Arc::new(self.batch.iter().map(give_up).collect());
                return Ok(());
            }
            // The batch stays; what of it was committed all the same is found gone by the next attempt.
            Err(error) => {
                self.record_pause = next_pause(self.record_pause);
                return Err(error);
            }
        };
        self.record_pause = Duration::ZERO;
        let batch = std::mem::take(&mut self.batch);
        // Before entities go on: one whose failed event was moved away meanwhile would go on without it.
        if !is_owned || self.runner.is_strict() && revision > self.origin.revision {
            self.fence();
        }
        for (unrecorded, recorded) in batch.iter().zip(recorded) {
            self.misplaced -= usize::from(matches!(unrecorded.disposition, Disposition::Misplaced));
            self.release(&unrecorded.key, unrecorded.entity, recorded, unrecorded.is_suspended);
        }
        Ok(())
    }

    fn release(&mut self, key: &[u8], entity: Entity, recorded: Recorded, is_suspended: bool) {
        recorded.count(&mut self.report);
        self.runner.observe.meters.handled(recorded.into());
        self.held.release(key, self.reading.is_some());
        if is_suspended && recorded.is_put_again() {
            self.withdraw(entity, key.to_vec());
        } else if is_suspended {
            self.lanes.resume(entity);
        } else if recorded.is_put_again() {
            self.note_put_again(key);
        }
    }

    /// Puts back what waits beside a suspended entity's event, which is stored still or again. Until they were read anew,
    /// nothing of the entity is handed out, be it in a page that is being read just now. Among them can be one that was
    /// redriven meanwhile, and comes first.
    fn withdraw(&mut self, entity: Entity, key: Vec<u8>) {
        let mut first = key;
        for waiting in self.lanes.withdraw(entity) {
            self.held.release(&waiting, self.reading.is_some());
            first = first.min(waiting);
        }
        self.blocked.block(entity, first, 0);
    }

    fn note_put_again(&mut self, key: &[u8]) {
        if self.put_again.as_deref().is_none_or(|first| key < first) {
            self.put_again = Some(key.to_vec());
        }
    }
}
