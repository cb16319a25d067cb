//! What happens to the marks of the dead.

use std::sync::Arc;

use tito_core::database::{PageSize, Walk};
use tito_core::event::{TitoEvent, Topic, due_second, topic_of};
use tito_core::row::StoredRow;
use tito_core::{Result, TitoError, Transaction};
use uuid::Uuid;

use super::dropped;
use super::hands::{Hands, Writing};
use super::mark::Mark;
use crate::keys;
use crate::outcome::Outcome;
use crate::worker::decide::{Ended, HandledBy};
use crate::worker::record::Recording;
use crate::worker::runner::Runner;

/// How many events are read in one call; each may be as large as the largest value.
const READ_AT_ONCE: usize = 8;

impl Hands {
    /// Finds the marks of dead workers, and treats what they may have had in hand as suspects.
    pub(super) async fn find_dead(&self, writing: &mut Writing) -> Result<()> {
        let reading =
            |tx: Transaction| async move { Ok((tx.now(), Walk::over(keys::processes()).rest_in(&tx).await?)) };
        let (now, marks) = self.database.transaction(reading).await?;
        for (key, bytes) in marks {
            let Some(id) = keys::parse_process(&key).filter(|id| *id != self.id) else { continue };
            let mark = match Mark::decode(&key, &bytes) {
                Ok(mark) => Mark { stopping: mark.stopping || dropped::has(id), ..mark },
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
            // There may be other killers that were not in hand yet.
            if !mark.stopping && writing.can_list {
                tracing::warn!(process = %id, queues = ?mark.queues, "a worker has died, going on carefully");
                self.be_careful(writing);
            }
            // Along with the caution, which is in this worker's own mark before the other one's is gone.
            let own = Mark { heartbeat: now.millis(), ..self.mark(writing) };
            match self.settle(id, &key, &mark, &own).await {
                // It can succeed later, and nothing is handed out until then.
                Err(error) if error.is_transient() => return Err(error),
                // Such as the topic of an event to be dead-lettered: the mark stays, and keeps nobody from serving.
                Err(error @ TitoError::Malformed { .. }) => {
                    self.database.log_damaged(&error, "what a dead worker had in hand can't be dealt with");
                }
                Err(error) => {
                    tracing::error!(process = %id, %error, "what a dead worker had in hand can't be dealt with");
                }
                Ok(()) => dropped::forget(id),
            }
        }
        Ok(())
    }

    /// Suspects what a dead worker had in hand, as much per transaction as fits, and deletes its mark with the last of
    /// it. If this is interrupted, the mark says what is left.
    async fn settle(&self, dead: Uuid, key: &[u8], seen: &Mark, own: &Mark) -> Result<()> {
        let is_only = self.database.is_only_writer();
        loop {
            let settle = |tx: Transaction| async move {
                // What it wrote last may have landed since; a worker that gives a heartbeat is not dead.
                let Some(bytes) = tx.get(key).await? else { return Ok((Vec::new(), true)) };
                let latest = Mark::decode(key, &bytes)?;
                let is_as_seen = latest.in_hand.is_some() || seen.in_hand.is_none();
                if !is_as_seen || (!is_only && latest.heartbeat != seen.heartbeat) {
                    return Ok((Vec::new(), true));
                }
                let mut left = match &latest.in_hand {
                    Some(in_hand) if !seen.stopping && !latest.stopping => in_hand.clone(),
                    _ => Vec::new(),
                };
                let (listed, rows) = read_some(&tx, &left).await?;
                left.drain(..rows.len());
                let suspects = self.settle_some(&tx, dead, latest.alone, listed, rows).await?;
                tx.system_keys().put(keys::process(self.id), own.encode()?).await?;
                let is_over = left.is_empty();
                if is_over {
                    tx.system_keys().delete(key.to_vec()).await?;
                } else {
                    let rest = Mark { in_hand: Some(left), ..latest };
                    tx.system_keys().put(key.to_vec(), rest.encode()?).await?;
                }
                Ok((suspects, is_over))
            };
            let (suspects, is_over) = self.database.transaction(settle).await?;
            self.suspect(suspects);
            if is_over {
                return Ok(());
            }
        }
    }

    fn serves(&self, queue: &str) -> bool {
        self.runners.contains_key(queue)
    }

    fn is_dead(&self, writing: &mut Writing, id: Uuid, mark: &Mark, now_millis: u64) -> bool {
        if self.lives_here(id) {
            return false;
        }
        if self.database.is_only_writer() || dropped::has(id) {
            return true;
        }
        let clock_millis = self.database.clock().monotonic_millis();
        let seen = writing.seen.entry(id).or_insert((mark.heartbeat, clock_millis));
        if seen.0 != mark.heartbeat {
            *seen = (mark.heartbeat, clock_millis);
        }
        // A heartbeat from the future ages from when it was seen.
        let age = now_millis.checked_sub(mark.heartbeat).unwrap_or(clock_millis.saturating_sub(seen.1));
        age >= mark.lease_millis
    }

    /// Suspects or charges events that a dead worker had in hand, and returns the keys.
    async fn settle_some(
        &self,
        tx: &Transaction,
        dead: Uuid,
        alone: bool,
        listed: Vec<Vec<u8>>,
        rows: Vec<Option<Vec<u8>>>,
    ) -> Result<Vec<Vec<u8>>> {
        let most_bytes = self.database.limits().value_bytes;
        let mut suspects = Vec::new();
        for (key, row) in listed.into_iter().zip(rows) {
            // An event that is done, or lies elsewhere, has killed nobody.
            let Some(row) = row else { continue };
            let Ok(event) = TitoEvent::decode(&key, &row) else { continue };
            let Some(place) = keys::parse_event(&key) else { continue };
            let (queue, partition) = (place.queue, place.partition);
            let deaths = event.deaths.unwrap_or(0) + u32::from(alone);
            let suspect = TitoEvent { deaths: Some(deaths), ..event };
            let noted = suspect.encode()?;
            // An event whose row has no room for a suspicion would kill for ever.
            let has_room = noted.len() <= most_bytes;
            let runner = self.runners.get(queue.as_str());
            let charged = |runner: &&Arc<Runner>| !has_room || alone && deaths >= runner.policy.charged_deaths();
            match runner.filter(charged) {
                Some(runner) => {
                    let stored = if has_room { noted } else { row };
                    let reason = reason(alone, deaths);
                    tracing::error!(%queue, event = %suspect.id, entity = suspect.entity, reason, "failed for good, it is in the dead letters");
                    self.dead_letter(tx, runner, partition, &key, stored, (dead, reason)).await?;
                }
                None => {
                    tracing::warn!(
                        %queue, event = %suspect.id, entity = suspect.entity, deaths, alone,
                        "a process has died while an event was handled, which runs alone from now on"
                    );
                    if has_room {
                        // It keeps its due time.
                        let due = due_second(&key, &row);
                        tx.system_keys().put_pending(key.clone(), noted, due, Some(due)).await?;
                    }
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
        stored: Vec<u8>,
        (dead, reason): (Uuid, String),
    ) -> Result<()> {
        let topic = Topic::read(tx, topic_of(&runner.queue).0).await?;
        let ended = Ended::from(Outcome::DeadLetter(reason));
        let recording = Recording { tx, runner, topic: &topic, partition };
        recording.record(key, stored.into(), &ended, HandledBy { worker: Some(dead), duration: None }).await?;
        Ok(())
    }
}

fn reason(alone: bool, deaths: u32) -> String {
    if alone {
        format!(
            "its process has died while it was handled, {} times at least, {deaths} of them while nothing else was",
            deaths + 1
        )
    } else {
        "its process has died while it was handled beside others, and there is no room to note that in it".to_string()
    }
}

/// Reads the first of the listed events: as many as one transaction can write again with room to spare.
async fn read_some(tx: &Transaction, listed: &[String]) -> Result<(Vec<Vec<u8>>, Vec<Option<Vec<u8>>>)> {
    let size = PageSize::within(tx.database().limits());
    let (mut keys, mut rows) = (Vec::new(), Vec::new());
    for some in listed.chunks(READ_AT_ONCE) {
        let some: Vec<_> = some.iter().map(|key| key.clone().into_bytes()).collect();
        rows.extend(tx.batch_get(some.clone()).await?);
        keys.extend(some);
        let bytes = |(key, row): (&Vec<u8>, &Option<Vec<u8>>)| key.len() + row.as_ref().map_or(0, Vec::len);
        let within = size.first_of(keys.iter().zip(&rows).map(bytes));
        if within < rows.len() {
            keys.truncate(within);
            rows.truncate(within);
            break;
        }
    }
    Ok((keys, rows))
}
