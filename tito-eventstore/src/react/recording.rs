//! What plain handlers came to, recorded now and then.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt;
use tito_worker::feed::{FeedEnded, FeedWatched};
use tokio::time::Instant;

use super::beside::Beside;
use super::feed::LOOK_AGAIN;
use super::position::Position;
use super::record::{Queued, Recorded, ToQueue};
use crate::error::{EventStoreError, Result};

/// So many events, or so much time, are behind what is recorded at most, beside those that are open and while there is
/// more to do.
const RECORD_EVENTS: u64 = 8_192;
const RECORD_TIME: Duration = Duration::from_millis(100);

/// How many sequences of which none is selected are passed before that is recorded.
const RECORD_PASSED: u64 = 10_000;

/// The longest pause between attempts to record.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Beside<'_> {
    pub(super) fn note_done(&mut self, sequence: u64, watched: FeedWatched) {
        self.done += 1;
        if self.fed.is_watched() {
            self.watched.push(watched);
        }
        self.pass(sequence);
    }

    /// Nothing keeps the position from passing an event any more.
    pub(super) fn pass(&mut self, sequence: u64) {
        self.reached = self.reached.max(sequence);
        if !self.open.is_empty() {
            self.open.remove(&sequence);
        }
    }

    /// An event goes into the queue, and in strict order with it what waits for it.
    pub(super) fn note_not_done(&mut self, sequence: u64, entity: String, ended: FeedEnded, watched: FeedWatched) {
        self.pass(sequence);
        let later =
            if self.fed.keeps_order() { self.lanes.remove(&entity).unwrap_or_default() } else { VecDeque::new() };
        self.queue_event(sequence, Some(entity.clone()), ended, watched);
        for event in later {
            self.pass(event.sequence());
            self.queue_event(event.sequence(), Some(entity.clone()), FeedEnded::not_begun(), FeedWatched::default());
        }
    }

    pub(super) fn queue_event(
        &mut self,
        sequence: u64,
        entity: Option<String>,
        ended: FeedEnded,
        watched: FeedWatched,
    ) {
        let not_before = entity.as_deref().map_or(0, |entity| self.waiting.last_second(entity));
        if let Some(entity) = &entity {
            self.waiting.comes(entity);
        }
        self.queued.push(Queued { event: ToQueue { sequence, entity, ended, not_before }, watched });
    }

    pub(super) fn queue_unreadable(&mut self, sequence: u64, entity: Option<String>, error: &EventStoreError) {
        self.reacting.log(error, "a reactor has met an event that can't be read, which is tried again");
        let ended = if entity.as_deref().is_some_and(|entity| self.waiting.holds(entity)) {
            FeedEnded::not_begun()
        } else {
            FeedEnded::failed(error)
        };
        self.queue_event(sequence, entity, ended, FeedWatched::default());
        self.pass(sequence);
    }

    pub(super) fn has_news(&self) -> bool {
        self.done > 0 || !self.queued.is_empty()
    }

    /// Records what there is to be recorded, if it is time for that; at once if nothing more comes for now.
    pub(super) fn start_recording(&mut self, is_last: bool) {
        if self.recording.is_some() || self.is_lost {
            return;
        }
        let now = Instant::now();
        let waits = !self.record_pause.is_zero() && now < self.next_recording;
        let is_time = is_last || self.done >= RECORD_EVENTS || now >= self.next_recording;
        let has_passed = self.reached >= self.position.sequence.saturating_add(RECORD_PASSED);
        if waits || !(has_passed || !self.queued.is_empty() || self.done > 0 && is_time) {
            return;
        }
        self.next_recording = now + RECORD_TIME;
        let open = self.open.iter().copied().collect();
        let position = Position { sequence: self.reached, open, ..self.position.clone() };
        self.queued_now = std::mem::take(&mut self.queued);
        self.done_now = std::mem::take(&mut self.done);
        self.watched_now = std::mem::take(&mut self.watched);
        let events = self.queued_now.iter().map(|queued| queued.event.clone()).collect();
        let (reacting, fed, stored) = (self.reacting.clone(), self.fed.clone(), self.stored.clone());
        self.recording = Some(reacting.record(fed, stored, position, events).boxed());
    }

    pub(super) fn take_recorded(&mut self, recorded: Result<Option<Recorded>>) -> Result<()> {
        let recorded = match recorded {
            Ok(Some(recorded)) => recorded,
            Ok(None) => {
                // Whoever has moved it hands these out again.
                self.is_lost = true;
                self.watched_now.drain(..).for_each(FeedWatched::release);
                self.queued_now.drain(..).for_each(|queued| queued.watched.release());
                return Ok(());
            }
            Err(error) => {
                let later = std::mem::replace(&mut self.queued, std::mem::take(&mut self.queued_now));
                self.queued.extend(later);
                self.done += std::mem::take(&mut self.done_now);
                self.watched.append(&mut self.watched_now);
                self.record_pause = (self.record_pause * 2).clamp(LOOK_AGAIN, LONGEST_PAUSE);
                self.next_recording = Instant::now() + self.record_pause;
                return Err(error);
            }
        };
        self.record_pause = Duration::ZERO;
        for (at, queued) in std::mem::take(&mut self.queued_now).into_iter().enumerate() {
            if let Some(entity) = &queued.event.entity {
                self.waiting.came(entity, recorded.place(at));
            }
            if let Some(recorded) = &recorded.queued[at] {
                self.fed.tell(self.report, recorded, queued.watched);
            }
        }
        self.fed.tell_done(self.report, std::mem::take(&mut self.done_now), self.watched_now.drain(..));
        self.is_lost |= !recorded.is_owned;
        self.may_be_erased |= recorded.erasures != self.erasures;
        self.position = recorded.position;
        self.stored = recorded.stored.into();
        Ok(())
    }
}
