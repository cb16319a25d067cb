//! One round of a member: says that it lives, looks at its fleet, claims what is its own and releases what is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::try_join_all;
use tito_core::event::{Topic, topic_of};
use tito_core::row::StoredRow;
use tito_core::{Result, TitoError, Transaction};

use crate::keys;

use super::Membership;
use super::fleet::{Fleet, all_of};
use super::lease::LeaseRow;
use super::plan::{QueueState, plan};

/// How many queues are read in one transaction.
const QUEUES_AT_ONCE: usize = 32;

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoundEnd {
    /// The member holds what is its own, as far as it can know.
    Settled,
    /// Others hold some of it, or something could not be read.
    Waiting,
}

impl Membership {
    /// Makes one round.
    ///
    /// # Errors
    /// Those of the engine; the next round makes up for this one.
    pub(crate) async fn round(&self) -> Result<RoundEnd> {
        let _turn = self.turn.lock().await;
        if *self.left.borrow() {
            return Ok(RoundEnd::Settled);
        }
        self.lose_if_late();
        self.heartbeat().await?;
        let mut round = RoundEnd::Settled;
        if !self.holdings.is_closed() {
            let fleet = self.read_fleet().await?;
            self.remove_long_dead(&fleet).await?;
            for queues in self.queues.chunks(QUEUES_AT_ONCE) {
                self.heartbeat_if_due().await?;
                if self.look_after(&fleet, queues).await? == RoundEnd::Waiting {
                    round = RoundEnd::Waiting;
                }
            }
        }
        self.give_back_free().await?;
        Ok(round)
    }

    async fn look_after(&self, fleet: &Fleet, queues: &[Arc<str>]) -> Result<RoundEnd> {
        let reading = self.database.transaction(|tx| async move {
            let tx = &tx;
            try_join_all(queues.iter().map(|queue| read_or_pass_over(tx, queue))).await
        });
        let mut round = RoundEnd::Settled;
        for state in self.call("reading leases", reading.boxed()).await? {
            let Some(state) = state else {
                round = RoundEnd::Waiting;
                continue;
            };
            let plan = plan(self.id, &self.fleet, fleet, &state, &self.holdings.of_queue(&state.queue));
            self.holdings.forget(&plan.lost);
            self.holdings.release(&state.queue, &plan.release);
            self.give_back(&plan.stray).await?;
            let all_claimed = self.holdings.is_closed() || self.claim(&state.queue, &plan.claim).await?;
            if plan.is_waiting || !all_claimed {
                round = RoundEnd::Waiting;
            }
        }
        Ok(round)
    }
}

/// A queue, or none if its topic can't be read: the others go on.
async fn read_or_pass_over(tx: &Transaction, queue: &Arc<str>) -> Result<Option<QueueState>> {
    match read(tx, queue).await {
        Ok(state) => Ok(Some(state)),
        Err(error @ TitoError::Malformed { .. }) => {
            tx.database().log_damaged(&error, "the partitions of a queue stay where they are");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn read(tx: &Transaction, queue: &Arc<str>) -> Result<QueueState> {
    let topic = Topic::read(tx, topic_of(queue).0).await?;
    let mut leases = BTreeMap::new();
    for (key, value) in all_of(tx, keys::leases(queue)).await? {
        let Some((_, partition)) = keys::parse_lease(&key) else { continue };
        let row = LeaseRow::decode(&key, &value);
        leases
            .insert(partition, row.inspect_err(|error| tx.database().log_damaged(error, "a lease can't be read")).ok());
    }
    Ok(QueueState { queue: queue.clone(), partitions: topic.served_partitions(), leases })
}
