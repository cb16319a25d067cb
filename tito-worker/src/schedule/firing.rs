//! One round over all schedules: what is due is published.

use std::collections::BTreeSet;

use tito_core::database::Walk;
use tito_core::row::StoredRow;
use tito_core::{Result, TitoError, Transaction};

use super::stored::Stored;
use crate::keys;
use crate::queue::TitoQueue;

/// How many firings of a schedule one transaction publishes.
const STEP: usize = 100;

/// What a round came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Firings {
    /// How many events were published.
    pub(crate) published: usize,
    /// In how many milliseconds the earliest firing to come falls due; 0 if it is.
    pub(crate) next_in: Option<u64>,
}

/// Rounds over all schedules.
pub(crate) struct Rounds {
    queue: TitoQueue,
    /// The schedules whose failure was logged, so that it is not logged in every round.
    failed: BTreeSet<Vec<u8>>,
}

impl Rounds {
    pub(crate) fn new(queue: TitoQueue) -> Self {
        Self { queue, failed: BTreeSet::new() }
    }

    /// Publishes what is due, at most 100 firings of each schedule. A schedule that can't be used is logged and the
    /// others go on.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) async fn round(&mut self) -> Result<Firings> {
        let mut round = Firings::default();
        let mut walk = Walk::over(keys::schedules());
        while let Some((page, now)) = walk.next(&self.queue.engine).await? {
            for (key, bytes) in &page {
                match self.visit(key, bytes, now.seconds()).await {
                    Ok((published, next)) => {
                        self.failed.remove(key);
                        round.published += published;
                        let millis = |second| u64::try_from(second).expect("a firing before 1970 is malformed") * 1_000;
                        let next_millis = next.map(millis);
                        let next_in = next_millis.map(|millis| millis.saturating_sub(now.millis()));
                        round.next_in = [round.next_in, next_in].into_iter().flatten().min();
                    }
                    // The schedule is not at fault: the others would meet the same.
                    Err(error) if error.is_transient() => return Err(error),
                    Err(error) => {
                        if self.failed.insert(key.clone()) {
                            tracing::error!(%error, "a schedule could not be fired");
                        }
                    }
                }
            }
        }
        Ok(round)
    }

    /// Publishes what is due of a schedule that was read at `now`, and returns how many firings that were and the next
    /// one.
    async fn visit(&self, key: &[u8], bytes: &[u8], now: i64) -> Result<(usize, Option<i64>)> {
        let (name, stored) = Stored::read(key, bytes)?;
        if stored.due(now).is_none() {
            if stored.sooner(&name, now)?.is_none() {
                return Ok((0, stored.next.filter(|_| !stored.paused)));
            }
            tracing::warn!(schedule = name, "the database's time was set back, so intervals continue from now");
        }
        match fire(&self.queue, key, STEP).await {
            // Large events, and a topic of which each is written to many groups: one firing has room.
            Err(TitoError::LimitExceeded { .. }) => fire(&self.queue, key, 1).await,
            fired => fired,
        }
    }
}

/// Publishes up to `limit` due firings of a schedule and stores the next one, in one transaction. Two workers that do so
/// conflict in the schedule's key, so each firing is published once.
async fn fire(queue: &TitoQueue, key: &[u8], limit: usize) -> Result<(usize, Option<i64>)> {
    let publish = |tx: Transaction| async move {
        let Some(bytes) = tx.get(key).await? else { return Ok((0, None)) };
        let (name, mut stored) = Stored::read(key, &bytes)?;
        let now = tx.now().seconds();
        let Some(due) = stored.due(now) else {
            if let Some(sooner) = stored.sooner(&name, now)? {
                (stored.next, stored.starts_at) = (Some(sooner), stored.starts_at.min(sooner));
                tx.system_keys().put(key.to_vec(), stored.encode()?).await?;
            }
            return Ok((0, stored.next.filter(|_| !stored.paused)));
        };
        let plan = stored.missed.plan(&stored.timetable(&name)?, due, now, limit, stored.most_missed);
        if plan.too_many > 0 {
            tracing::warn!(
                schedule = name,
                passed_over = plan.too_many,
                from = due,
                until = plan.publish.first(),
                "more firings were missed than are published"
            );
            stored.passed_over = stored.passed_over.saturating_add(plan.too_many);
        }
        stored.missed_firings = stored.missed_firings.saturating_add(plan.missed);
        for firing in &plan.publish {
            queue.publish(stored.event.at(&name, *firing), &tx).await?;
        }
        stored.next = plan.next;
        stored.last = plan.publish.last().copied().or(stored.last);
        tx.system_keys().put(key.to_vec(), stored.encode()?).await?;
        Ok((plan.publish.len(), plan.next))
    };
    queue.engine.transaction(publish).await
}
