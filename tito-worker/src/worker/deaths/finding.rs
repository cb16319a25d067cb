//! What is done about the marks of the dead.

use std::sync::Arc;

use tito_core::database::Walk;
use tito_core::event::{TitoEvent, Topic, due_second, topic_of};
use tito_core::row::StoredRow;
use tito_core::{Result, TitoError, Transaction};
use uuid::Uuid;

use super::hands::{Hands, Writing};
use super::mark::Mark;
use crate::keys;
use crate::outcome::Outcome;
use crate::worker::decide::{Ended, HandledBy};
use crate::worker::record::Recording;
use crate::worker::runner::Runner;

impl Hands {
    /// Finds the marks of dead workers, and treats what they may have had in hand as suspects.
    pub(super) async fn find_dead(&self, writing: &mut Writing) -> Result<()> {
        let reading =
            |tx: Transaction| async move { Ok((tx.now(), Walk::over(keys::processes()).rest_in(&tx).await?)) };
        let (now, marks) = self.database.transaction(reading).await?;
        for (key, bytes) in marks {
            let Some(id) = keys::parse_process(&key).filter(|id| *id != self.id) else { continue };
            let mark = match Mark::decode(&key, &bytes) {
                Ok(mark) => mark,
                Err(error) => {
                    self.database.log_damaged(&error, "a mark that can't be read is passed over");
                    continue;
                }
            };
            if !self.is_dead(writing, id, &mark, now.millis()) || !mark.queues.iter().any(|one| self.serves(one)) {
                continue;
            }
            if mark.in_hand.is_none() && !mark.stopping && !writing.can_list {
                writing.wants_lists = true;
                continue;
            }
            // There may be others that kill, which were not in hand yet.
            if !mark.stopping && writing.can_list {
                tracing::warn!(process = %id, queues = ?mark.queues, "a worker has died, going on carefully");
                self.be_careful(writing);
            }
            // Beside the caution, which is in this worker's own mark before the other one's is gone.
            let own = Mark { heartbeat: now.millis(), ..self.mark(writing) };
            let (key, mark, own, is_only) = (&key, &mark, &own, self.database.is_only_writer());
            let settle = |tx: Transaction| async move {
                // What it wrote last may have landed since; what gives a heartbeat is not dead.
                let Some(bytes) = tx.get(key).await? else { return Ok(Vec::new()) };
                let latest = &Mark::decode(key, &bytes)?;
                let is_as_seen = latest.in_hand.is_some() || mark.in_hand.is_none();
                if !is_as_seen || (!is_only && latest.heartbeat != mark.heartbeat) {
                    return Ok(Vec::new());
                }
                let mark = latest;
                tx.system_keys().put(keys::process(self.id), own.encode()?).await?;
                tx.system_keys().delete(key.clone()).await?;
                if mark.stopping { Ok(Vec::new()) } else { self.settle(&tx, id, mark).await }
            };
            match self.database.transaction(settle).await {
                Ok(suspects) => self.suspect(suspects),
                // Such as the topic of an event that is to be dead-lettered: the mark stays until it can be read.
                Err(error @ TitoError::Malformed { .. }) => {
                    self.database.log_damaged(&error, "what a dead worker had in hand can't be dealt with");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn serves(&self, queue: &str) -> bool {
        self.runners.contains_key(queue)
    }

    fn is_dead(&self, writing: &mut Writing, id: Uuid, mark: &Mark, now_millis: u64) -> bool {
        if self.lives_here(id) {
            return false;
        }
        if self.database.is_only_writer() {
            return true;
        }
        let clock_millis = self.database.clock().monotonic_millis();
        let seen = writing.seen.entry(id).or_insert((mark.heartbeat, clock_millis));
        if seen.0 != mark.heartbeat {
            *seen = (mark.heartbeat, clock_millis);
        }
        // One of the future ages from when it was seen.
        let age = now_millis.checked_sub(mark.heartbeat).unwrap_or(clock_millis.saturating_sub(seen.1));
        age >= mark.lease_millis
    }

    /// Suspects what a dead worker had in hand, or charges it, and returns the keys.
    async fn settle(&self, tx: &Transaction, dead: Uuid, mark: &Mark) -> Result<Vec<Vec<u8>>> {
        let listed: Vec<_> = mark.in_hand.iter().flatten().map(|key| key.clone().into_bytes()).collect();
        let stored = tx.batch_get(listed.clone()).await?;
        let mut suspects = Vec::new();
        for (key, row) in listed.into_iter().zip(stored) {
            // What is done, or lies elsewhere, has killed nobody.
            let Some(row) = row else { continue };
            let Ok(event) = TitoEvent::decode(&key, &row) else { continue };
            let Some(place) = keys::parse_event(&key) else { continue };
            let (queue, partition) = (place.queue, place.partition);
            let deaths = event.deaths.unwrap_or(0) + u32::from(mark.alone);
            let runner = self.runners.get(queue.as_str());
            match runner.filter(|runner| mark.alone && deaths >= runner.policy.charged_deaths()) {
                Some(runner) => self.dead_letter(tx, runner, partition, &key, event, (dead, deaths)).await?,
                None => {
                    tracing::warn!(
                        %queue, event = %event.id, entity = event.entity, deaths, alone = mark.alone,
                        "a process has died while an event was handled, which runs alone from now on"
                    );
                    let suspect = TitoEvent { deaths: Some(deaths), ..event };
                    // It falls due when it did.
                    let due = due_second(&key, &row);
                    tx.system_keys().put_pending(key.clone(), suspect.encode()?, due, Some(due)).await?;
                }
            }
            suspects.push(key);
        }
        Ok(suspects)
    }

    async fn dead_letter(
        &self,
        tx: &Transaction,
        runner: &Arc<Runner>,
        partition: u16,
        key: &[u8],
        event: TitoEvent,
        (dead, deaths): (Uuid, u32),
    ) -> Result<()> {
        let reason = format!(
            "its process has died while it was handled, {} times at least, {deaths} of them while nothing else was",
            deaths + 1
        );
        tracing::error!(queue = %runner.queue, event = %event.id, entity = event.entity, reason, "failed for good, it is in the dead letters");
        let topic = Topic::read(tx, topic_of(&runner.queue).0).await?;
        let stored = TitoEvent { deaths: Some(deaths), ..event }.encode()?;
        let ended = Ended::from(Outcome::DeadLetter(reason));
        let recording = Recording { tx, runner, topic: &topic, partition };
        recording.record(key, stored, &ended, HandledBy { worker: Some(dead), duration: None }).await?;
        Ok(())
    }
}
