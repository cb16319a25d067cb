//! What is read, and what of it is handed out.

use std::time::Duration;

use futures::FutureExt;
use tito_core::event::{TopicCache, topic_of};
use tito_core::keys;
use tito_core::{Result, Timestamp};

use super::entry::{Entry, PageRules};
use super::page::{Page, Wanted, checkpoint_floor, read_page};
use super::{Partition, next_pause};
use crate::outcome::Outcome;
use crate::time::time_of;
use crate::worker::decide::Ended;
use crate::worker::held::Slot;
use crate::worker::reader::{End, PageRead, Reader, Revisits};
use crate::worker::record::Unrecorded;
use crate::worker::runner::Delivery;

impl Partition {
    pub(super) fn start_reading(&mut self) {
        if self.reading.is_some() {
            return;
        }
        // Before it is known whether there is room, as this makes some.
        self.read_again_what_is_due();
        if !self.has_room() {
            return;
        }
        let now_millis = self.engine.clock().now_millis();
        let wanted = match &mut self.reader {
            None => Wanted::Checkpoint(keys::checkpoint(&self.runner.queue, self.origin.partition)),
            Some(reader) => {
                if !reader.wants_to_read(now_millis) {
                    return;
                }
                let (range, limit) = reader.next_page(now_millis);
                Wanted::Events(range, limit)
            }
        };
        let (engine, runner, pause) = (self.engine.clone(), self.runner.clone(), self.read_pause);
        self.reading = Some(
            async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let _turn = runner.source.turn().await;
                let is_poll = matches!(wanted, Wanted::Events(..));
                let _poll = is_poll.then(|| runner.observe.meters.time_poll());
                read_page(&engine, wanted).await
            }
            .boxed(),
        );
    }

    /// Takes the cursor back to what was recorded to be handled again, and to the entities that no longer wait.
    fn read_again_what_is_due(&mut self) {
        let Some(reader) = &mut self.reader else { return };
        let now_millis = self.engine.clock().now_millis();
        let let_go = self.blocked.let_go(reader.time.present(now_millis));
        for key in [self.put_again.take(), let_go].into_iter().flatten() {
            reader.note_commit(&key, now_millis);
        }
    }

    /// When to read next if nothing happens before.
    pub(super) fn next_read_millis(&self) -> u64 {
        let Some(reader) = &self.reader else { return 0 };
        let unblocked = self.blocked.next_due().map_or(u64::MAX, |due| reader.time.shows_millis(due));
        if self.blocked.is_full() {
            return unblocked;
        }
        reader.next_read_millis().min(unblocked)
    }

    /// Whether the first event of an entity that was held up is due.
    pub(super) fn is_one_unblocked(&self, now_millis: u64) -> bool {
        let present = self.reader.as_ref().map_or(0, |reader| reader.time.present(now_millis));
        self.blocked.next_due().is_some_and(|due| due <= present)
    }

    /// The second of the first event that is held or passed over.
    pub(super) fn first_kept_second(&self) -> Option<i64> {
        let blocked = self.blocked.first_key().and_then(keys::parse_event_second);
        [self.held.first_second(), blocked].into_iter().flatten().min()
    }

    /// Whether the topic was changed in a way that pages don't show: where the number of partitions changes, events may be
    /// on their way to another one, and others pass for the first of their entities. A change that another process makes
    /// is noticed before it moves anything.
    fn is_behind_its_topic(&self) -> bool {
        let known = || self.engine.shared().value::<TopicCache>().known_revision(topic_of(&self.runner.queue).0);
        self.runner.policy.order.is_outdated(self.topic.revision, known)
    }

    pub(super) fn take_page(&mut self, page: Result<Page>) -> Result<()> {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                self.read_pause = next_pause(self.read_pause);
                // Nothing was shown; the next page shows what is stored again by then, which must not be passed over.
                self.held.settle();
                return Err(error);
            }
        };
        self.read_pause = Duration::ZERO;
        if self.is_behind_its_topic() {
            self.fence();
            return Ok(());
        }
        let now_millis = self.engine.clock().now_millis();
        // A subscription with a delay of its own lives in the past.
        let delay_millis = u64::try_from(self.runner.policy.delay_seconds).unwrap_or(0).saturating_mul(1_000);
        let present = Timestamp::from_millis(page.seen.physical_millis().saturating_sub(delay_millis));
        let Some(reader) = &mut self.reader else {
            let floor = page.entries.first().and_then(|(key, value)| checkpoint_floor(key, value));
            let age = Duration::from_millis(self.engine.max_transaction_age_millis());
            let revisits = Revisits::new(age, self.engine.is_only_writer(), now_millis, present.seconds());
            let floor = self.runner.policy.order.begins_at(floor);
            self.reader = Some(Reader::new(&self.runner.queue, self.origin.partition, floor, present, revisits));
            // As no events were read: what was released meanwhile and is stored again must not be passed over.
            self.held.settle();
            return Ok(());
        };
        // Of one entity's events an earlier one can be committed behind the cursor, and a later one stand in this page.
        let woken = self.wakeup.take();
        if let Some(key) = woken.as_ref().filter(|key| reader.has_passed(key)) {
            reader.note_commit(key, now_millis);
            // The page is dropped, and the next one is read after all that was released meanwhile.
            self.held.settle();
            return Ok(());
        }
        let pass_began = reader.pass_began(page.seen);
        let order = self.runner.policy.order;
        let rules = PageRules {
            order,
            topic: &self.topic,
            partition: self.origin.partition,
            seen: page.seen,
            present: present.seconds(),
            looks_back_from: order.looks_back(self.engine.is_only_writer()).then_some(pass_began),
        };
        let mut outcome = PageRead::new(present, page.asked_millis, page.entries.len());
        let mut deliveries = Vec::with_capacity(page.entries.len());
        for (key, row) in page.entries {
            let slot = Slot::parse(&key);
            if let Some(end) = rules.ends_before(slot, &self.held) {
                if end == End::LooksBack {
                    reader.look_back();
                }
                outcome.end = Some(end);
                break;
            }
            reader.pass(&key);
            outcome.count(row.len());
            let ended = match rules.entry(&key, &row, slot, &self.held, &self.blocked) {
                Entry::Held | Entry::Waits => continue,
                Entry::WaitsUntil { entity, until } => {
                    self.blocked.block(entity, key, until);
                    continue;
                }
                Entry::Due { entity } => {
                    self.held.hold(slot.unwrap_or_else(|| Slot::of(&key)), row.len());
                    deliveries.push(Delivery { key, stored: row, entity, origin: self.origin.clone() });
                    continue;
                }
                Entry::NoEvent => Ended::NoEvent,
                Entry::PutOff { until } => {
                    Outcome::RescheduleTo(time_of(until.saturating_add(self.runner.policy.delay_seconds))).into()
                }
                Entry::Misplaced => {
                    self.misplaced += 1;
                    self.runner.source.outdated.notify_one();
                    Ended::Misplaced
                }
            };
            self.held.hold(slot.unwrap_or_else(|| Slot::of(&key)), row.len());
            self.unrecorded.push(Unrecorded::set_aside(key, ended));
        }
        reader.note_page(&outcome, now_millis);
        if let Some(key) = woken {
            reader.note_commit(&key, now_millis);
        }
        self.held.settle();
        self.lanes.submit(deliveries);
        Ok(())
    }
}
