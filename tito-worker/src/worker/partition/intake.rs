//! What is read, and which of that is handed out.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt;
use tito_core::event::{TopicCache, topic_of};
use tito_core::{Now, Result};

use super::entry::{Entry, PageRules};
use super::page::{Page, Wanted, checkpoint_floor, read_page};
use super::{Partition, next_pause};
use crate::keys;
use crate::outcome::Outcome;
use crate::time::time_of;
use crate::worker::cursor::{Cursor, End, PageRead, Revisits};
use crate::worker::decide::Ended;
use crate::worker::loaded::Slot;
use crate::worker::quiet::IsQuiet;
use crate::worker::record::Unrecorded;
use crate::worker::runner::Delivery;
use crate::worker::waited::LOOK_AGAIN;

impl Partition {
    pub(super) fn start_reading(&mut self) {
        if self.reading.is_some() {
            return;
        }
        // Before checking for room, since this makes some.
        self.read_again_what_is_due();
        if !self.has_room() {
            return;
        }
        let clock_millis = self.database.clock().monotonic_millis();
        let waited = self.waited.due(clock_millis);
        let wanted = match &mut self.cursor {
            // Waiting events are looked for before anything is handed out by the new time.
            _ if self.waited.next_page().is_some() => {
                let Some((range, limit)) = self.waited.next_page() else { return };
                Wanted::ToWaitFor(range, limit)
            }
            None => Wanted::LowWatermark(keys::low_watermark(&self.runner.queue, self.origin.partition)),
            Some(_) if !waited.is_empty() => Wanted::Waited(waited),
            Some(cursor) => {
                if self.time_set.is_some_and(|since| since != cursor.time.since()) {
                    cursor.look();
                }
                if !cursor.wants_to_read(clock_millis) {
                    return;
                }
                let (range, limit) = cursor.next_page(clock_millis);
                Wanted::Events(range, limit)
            }
        };
        let (database, runner, pause) = (self.database.clone(), self.runner.clone(), self.read_pause);
        let hands = self.origin.hands.clone();
        self.reading = Some(
            async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let _turn = runner.source.turn().await;
                let is_poll = matches!(wanted, Wanted::Events(..));
                let poll = is_poll.then(|| runner.observe.meters.time_poll());
                let page = read_page(&database, wanted).await?;
                drop(poll);
                // Before anything is handed out or counted for a rate.
                if is_poll
                    && !page.entries.is_empty()
                    && let Some(hands) = hands
                {
                    hands.begin().await?;
                }
                Ok(page)
            }
            .boxed(),
        );
    }

    /// Moves the cursor back to what was recorded to be handled again, and to the entities that no longer wait.
    fn read_again_what_is_due(&mut self) {
        let Some(cursor) = &mut self.cursor else { return };
        let clock_millis = self.database.clock().monotonic_millis();
        let unblocked = self.blocked.unblock(cursor.time.present(clock_millis));
        for key in [self.put_again.take(), unblocked].into_iter().flatten() {
            cursor.note_commit(&key, clock_millis);
        }
    }

    /// When to read next if nothing happens before.
    pub(super) fn next_read_millis(&self) -> u64 {
        let Some(cursor) = &self.cursor else { return 0 };
        let unblocked = self.blocked.next_due().map_or(u64::MAX, |due| cursor.time.shows_millis(due));
        if self.blocked.is_full() {
            return unblocked;
        }
        let waited = self.waited.next_moment().unwrap_or(u64::MAX);
        cursor.next_read_millis().min(unblocked).min(waited)
    }

    /// Whether the first event of a blocked entity is due.
    pub(super) fn is_one_unblocked(&self, clock_millis: u64) -> bool {
        let present = self.cursor.as_ref().map_or(0, |cursor| cursor.time.present(clock_millis));
        self.blocked.next_due().is_some_and(|due| due <= present)
    }

    /// The second of the first event that is loaded or skipped.
    pub(super) fn first_kept_second(&self) -> Option<i64> {
        let blocked = self.blocked.first_key().and_then(keys::parse_event_second);
        [self.loaded.first_second(), blocked].into_iter().flatten().min()
    }

    /// Whether the topic was changed in a way that pages don't show. While the number of partitions changes, events may
    /// be on their way to another one, and others seem to be the first of their entities. A change by another process
    /// is noticed before it moves anything.
    fn is_behind_its_topic(&self) -> bool {
        let known = || self.database.shared().value::<TopicCache>().known_revision(topic_of(&self.runner.queue).0);
        self.runner.policy.order.is_outdated(self.topic.revision, known)
    }

    /// Records the time when a page was read. True if time was set since the previous page, so that everything is read
    /// anew, and waiting events wait for elapsed time.
    fn note_time(&mut self, now: Now) -> bool {
        let Some(cursor) = self.cursor.as_ref().filter(|cursor| cursor.time.since() != now.since()) else {
            return false;
        };
        let (before, clock_millis) = (cursor.time, self.database.clock().monotonic_millis());
        let present = now.seconds().saturating_sub(self.runner.policy.delay_seconds);
        if before.present(clock_millis) > present {
            for (entity, until, key) in self.blocked.all() {
                self.waited.add(key.to_vec(), before.shows_millis(until), entity);
            }
            self.waited.begin(before, now.since(), &self.runner.queue, self.origin.partition, present);
        }
        self.release_unstarted();
        true
    }

    pub(super) fn take_page(&mut self, page: Result<Page>) -> Result<()> {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                self.read_pause = next_pause(self.read_pause);
                // Nothing was shown; the next page shows what is stored again by then, which must not be skipped.
                self.loaded.settle();
                return Err(error);
            }
        };
        self.read_pause = Duration::ZERO;
        if self.is_behind_its_topic() {
            self.fence();
            return Ok(());
        }
        self.runner.observe.note_time(page.now, page.asked_millis);
        if self.note_time(page.now) {
            return Ok(());
        }
        let clock_millis = self.database.clock().monotonic_millis();
        // A subscription with a delay lives in the past.
        let delay_millis =
            u64::try_from(self.runner.policy.delay_seconds).expect("it was made of a Duration").saturating_mul(1_000);
        let present = page.now.less(delay_millis);
        if let Wanted::ToWaitFor(..) = page.wanted {
            self.waited.take_page(&page.entries);
            self.loaded.settle();
            return Ok(());
        }
        let Some(cursor) = &mut self.cursor else {
            let floor = page.entries.first().and_then(|(key, value)| checkpoint_floor(key, value));
            let age = Duration::from_millis(self.database.max_transaction_age_millis());
            let is_only_writer = self.database.is_only_writer();
            // In a drain, no worker looks after its partitions.
            let is_told = is_only_writer && self.origin.hands.is_some();
            let revisits = Revisits::new(age, is_only_writer, is_told, clock_millis, present.seconds());
            let begin = self.runner.policy.order.begins_at(floor);
            let (queue, partition) = (&self.runner.queue, self.origin.partition);
            let mut cursor = Cursor::new(queue, partition, begin, (present, page.asked_millis), revisits);
            // A checkpoint is only written along with acknowledgements.
            cursor.had_events_until(floor.unwrap_or(0));
            self.cursor = Some(cursor);
            // As no events were read: what was released meanwhile and is stored again must not be skipped.
            self.loaded.settle();
            return Ok(());
        };
        // An earlier event of an entity can be committed behind the cursor while a later one is in this page.
        let woken = self.wakeup.take();
        if let Some(key) = woken.as_ref().filter(|key| cursor.has_passed(key)) {
            cursor.note_commit(key, clock_millis);
            // The page is dropped, and the next one is read after everything that was released meanwhile.
            self.loaded.settle();
            return Ok(());
        }
        let is_of_waited = matches!(page.wanted, Wanted::Waited(_));
        if let Wanted::Waited(keys) = page.wanted {
            // Others have removed what is no longer there.
            let found: BTreeSet<_> = page.entries.iter().map(|(key, _)| key.as_slice()).collect();
            for key in keys.iter().filter(|key| !found.contains(key.as_slice())) {
                self.waited.remove(key);
            }
        }
        let pass_began = (!is_of_waited).then(|| cursor.pass_began(page.seen, present));
        let order = self.runner.policy.order;
        let rules = PageRules {
            order,
            topic: &self.topic,
            partition: self.origin.partition,
            seen: page.seen,
            present: present.seconds(),
            waited: &self.waited,
            time: cursor.time,
            clock_millis,
            looks_back_from: pass_began.filter(|_| order.looks_back(self.database.is_only_writer())),
        };
        let mut outcome = PageRead::new(present, page.asked_millis, page.entries.len());
        let mut deliveries = Vec::with_capacity(page.entries.len());
        let mut waits = Vec::new();
        for (key, row) in page.entries {
            let slot = Slot::parse(&key);
            if is_of_waited {
                if self.loaded.is_full() {
                    break;
                }
            } else if let Some(end) = rules.ends_before(slot, &self.loaded) {
                if end == End::LooksBack {
                    cursor.look_back();
                }
                outcome.end = Some(end);
                break;
            } else {
                cursor.pass(&key);
                outcome.count(row.len());
            }
            let entry = rules.entry(&key, &row, slot, &self.loaded, &self.blocked);
            // One that was released meanwhile is still waited for: the next page shows it as it is stored by then.
            let is_outdated = entry == Entry::Loaded && slot.is_some_and(|slot| self.loaded.was_released(&slot));
            if !self.waited.is_empty() && !is_outdated {
                waits.push((key.clone(), entry.clone()));
            }
            let ended = match entry {
                Entry::Loaded | Entry::Waits => continue,
                Entry::WaitsUntil { .. } if is_of_waited => continue,
                Entry::WaitsUntil { entity, until } => {
                    self.blocked.block(entity, key, until);
                    continue;
                }
                Entry::Due { entity, is_suspect } => {
                    self.loaded.load(slot.unwrap_or_else(|| Slot::of(&key)), row.len());
                    let (version, origin) = (page.version, self.origin.clone());
                    deliveries.push(Delivery { key, stored: row, version, entity, is_suspect, origin });
                    continue;
                }
                Entry::NoEvent => {
                    self.runner.log_no_event(&key, None);
                    Ended::NoEvent
                }
                Entry::Postponed { until } => {
                    Outcome::RescheduleTo(time_of(until.saturating_add(self.runner.policy.delay_seconds))).into()
                }
                Entry::Misplaced => {
                    self.misplaced += 1;
                    self.runner.source.outdated.notify_one();
                    Ended::Misplaced
                }
            };
            self.loaded.load(slot.unwrap_or_else(|| Slot::of(&key)), row.len());
            self.unrecorded.push(Unrecorded::malformed(key, row, ended));
        }
        if !is_of_waited {
            cursor.note_page(&outcome, clock_millis);
        }
        for (key, entry) in waits {
            match entry {
                Entry::Waits if is_of_waited => self.waited.wait_until(&key, clock_millis + LOOK_AGAIN),
                Entry::WaitsUntil { until, .. } if is_of_waited => {
                    self.waited.wait_until(&key, cursor.time.shows_millis(until));
                }
                Entry::Waits | Entry::WaitsUntil { .. } => {}
                _ => self.waited.hand_out(&key),
            }
        }
        if let Some(key) = woken {
            cursor.note_commit(&key, clock_millis);
        }
        self.loaded.settle();
        self.lanes.submit(deliveries);
        self.leave_looking_to_the_worker(clock_millis);
        Ok(())
    }

    /// Leaves looking for events to the worker while nothing comes and nothing waits here. A drain has no worker.
    fn leave_looking_to_the_worker(&mut self, clock_millis: u64) {
        let Some(cursor) = &mut self.cursor else { return };
        let holds_nothing = self.loaded.is_empty() && self.blocked.next_due().is_none() && self.waited.is_empty();
        let is_quiet = holds_nothing && self.origin.hands.is_some() && cursor.may_be_quiet(clock_millis);
        if is_quiet != self.quiet.is_some() {
            cursor.set_quiet(is_quiet, clock_millis);
            self.quiet = is_quiet.then(|| IsQuiet::new(&self.runner, self.origin.partition));
        }
    }
}
