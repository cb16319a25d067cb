//! The results of handlers, and their recording.

use std::time::Duration;

use futures::FutureExt;
use tito_core::{Result, TitoError};

use super::{CHECKPOINT_EVERY, MOST_RECORDED, Partition, next_pause};
use crate::fate::Fates;
use crate::keys;
use crate::worker::attempt::{Ran, Verdict};
use crate::worker::decide::Ended;
use crate::worker::lanes::{Entity, Finished};
use crate::worker::record::{Recorded, RecordedBatch, Unrecorded, record_all};

impl Partition {
    pub(super) fn take_finished(&mut self) {
        let finished = self.lanes.take_finished();
        self.unrecorded.reserve(finished.len());
        let mut fates = Fates::default();
        for Finished { key, handed_out, version, entity, ran: Ran { verdict, watched }, awaits_recording } in finished {
            match verdict {
                Verdict::Ended(ended) => {
                    let one = Unrecorded { key, handed_out, version, entity, ended, watched, awaits_recording };
                    self.unrecorded.push(one);
                }
                Verdict::Recorded(recorded) => {
                    fates.count(recorded.fate);
                    self.settle(&key, entity, &recorded, awaits_recording);
                }
                Verdict::Fenced { revision } => {
                    self.loaded.release(&key, self.reading.is_some());
                    self.release_entity(entity, key);
                    // What was read under an earlier revision was released when the later one came.
                    if revision == self.origin.revision {
                        self.fence();
                    }
                }
                // The lanes keep it.
                Verdict::NotBegun => {}
            }
        }
        self.runner.observe.meters.handled(fates);
    }

    /// Stops handing out until the partition's owner and the order of its events are known.
    pub(super) fn fence(&mut self) {
        self.release_unstarted();
        self.is_fenced = true;
        self.runner.source.outdated.notify_one();
    }

    /// Records everything ready in one transaction, one at a time: while it is under way, more becomes ready.
    pub(super) fn start_recording(&mut self) {
        if self.recording.is_some() || self.unrecorded.is_empty() {
            return;
        }
        let rest = self.unrecorded.split_off(self.unrecorded.len().min(self.most_recorded));
        let batch = std::mem::replace(&mut self.unrecorded, rest);
        self.recorded_now = batch.len();
        let now = self.database.clock().monotonic_millis();
        let mut floor = None;
        if let Some(cursor) = self.cursor.as_ref().filter(|_| now >= self.next_low_watermark) {
            floor = Some(cursor.floor(self.first_kept_second()));
            self.next_low_watermark = now + CHECKPOINT_EVERY;
        }
        let (database, runner, origin) = (self.database.clone(), self.runner.clone(), self.origin.clone());
        let pause = self.record_pause;
        self.recording = Some(
            async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let _commit = runner.observe.meters.time_acknowledgement(batch.len());
                let recorded = record_all(&database, &runner, &origin, &batch, floor).await;
                (batch, recorded)
            }
            .boxed(),
        );
    }

    pub(super) fn take_recorded(&mut self, recorded: (Vec<Unrecorded>, Result<RecordedBatch>)) -> Result<()> {
        self.recording = None;
        self.recorded_now = 0;
        let (mut batch, recorded) = recorded;
        let RecordedBatch { events: recorded, is_owned, revision } = match recorded {
            Ok(recorded) => recorded,
            Err(error) => {
                let events = batch.len();
                batch.append(&mut self.unrecorded);
                self.unrecorded = batch;
                // Each event fits by itself.
                if events > 1 && matches!(error, TitoError::LimitExceeded { .. }) {
                    self.most_recorded = events / 2;
                    return Ok(());
                }
                // If it was committed after all, the next attempt finds the events gone, or continued.
                self.record_pause = next_pause(self.record_pause);
                return Err(error);
            }
        };
        self.record_pause = Duration::ZERO;
        self.most_recorded = MOST_RECORDED;
        // Before entities continue: one whose failed event was moved away meanwhile would continue without it.
        if !is_owned || self.runner.policy.order.is_outdated(self.origin.revision, || revision) {
            self.fence();
        }
        let mut fates = Fates::default();
        for (Unrecorded { key, entity, ended, watched, awaits_recording, .. }, recorded) in
            batch.into_iter().zip(recorded)
        {
            fates.count(recorded.fate);
            self.misplaced -= usize::from(matches!(ended, Ended::Misplaced));
            watched.tell(recorded.fate, recorded.error());
            self.settle(&key, entity, &recorded, awaits_recording);
        }
        self.runner.observe.meters.handled(fates);
        Ok(())
    }

    /// Forgets an event whose fate is recorded.
    fn settle(&mut self, key: &[u8], entity: Entity, recorded: &Recorded, awaits_recording: bool) {
        let fate = recorded.fate;
        if let Some(failure) = &recorded.failure {
            self.runner.log(fate, failure);
        }
        self.report.count(fate);
        self.loaded.release(key, self.reading.is_some());
        let keeps_places = self.runner.policy.order.keeps_places();
        if fate.is_postponed() && keeps_places {
            self.waited.postpone(key);
        } else if self.waited.remove(key) && keeps_places {
            // Later events of its entity, whose keys come before it, were skipped.
            self.note_put_again(&keys::events_of_partition(&self.runner.queue, self.origin.partition).start);
        }
        if awaits_recording && recorded.remains {
            self.release_entity(entity, key.to_vec());
        } else if awaits_recording {
            self.lanes.resume(entity);
        } else if recorded.remains {
            self.note_put_again(key);
        }
    }

    /// Releases what waits behind an entity's blocked event, which is still or again stored. Until they are reread,
    /// nothing of the entity is handed out, not even from a page that is being read now. One of them may have been
    /// redriven meanwhile, and comes first.
    fn release_entity(&mut self, entity: Entity, key: Vec<u8>) {
        let mut first = key;
        self.waited.release(&first);
        for waiting in self.lanes.release(entity) {
            self.loaded.release(&waiting, self.reading.is_some());
            self.waited.release(&waiting);
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
