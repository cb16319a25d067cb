//! How transfers are made, and how they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tito_core::TitoError;
use tito_core::TxOptions;
use tito_core::prelude::*;
use tito_worker::TitoQueue;

use crate::bank::Transfer;
use crate::ledger::{Ledger, Said};

/// How often a transfer that was not done is made again, each time under a new id.
const ATTEMPTS: u32 = 20;

/// How a transfer is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// One `begin` and one `commit`: the test sees what the commit says.
    Commit,
    /// By `transaction`, which replays what was certainly not done.
    Transaction,
    /// By a transaction with an idempotency key, called until its outcome is known.
    Idempotent,
    /// Rolled back after everything was written and published.
    RolledBack,
    /// Dropped then, without a word.
    Dropped,
    /// The commit's future is dropped after a moment, so nobody hears of its outcome.
    Cancelled,
}

impl Ending {
    pub fn random(random: &mut fastrand::Rng) -> Self {
        match random.u8(..100) {
            0..60 => Self::Commit,
            60..75 => Self::Transaction,
            75..90 => Self::Idempotent,
            90..94 => Self::RolledBack,
            94..97 => Self::Dropped,
            _ => Self::Cancelled,
        }
    }
}

/// The transfers of one process.
#[derive(Clone)]
pub struct Clerk {
    pub queue: TitoQueue,
    pub ledger: Arc<Ledger>,
}

impl Clerk {
    pub fn new(db: &Database, ledger: &Arc<Ledger>) -> Self {
        Self { queue: TitoQueue::new(db.clone()), ledger: ledger.clone() }
    }

    /// Makes transfers until `next` has reached `end`. What each of them is depends on the seed and its number only.
    pub async fn work(self, seed: u64, next: Arc<AtomicU64>, end: u64) {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return;
            }
            let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number));
            let transfer = Transfer::random(format!("{number:07}"), &mut random);
            self.make(transfer, Ending::random(&mut random)).await;
        }
    }

    /// Makes a transfer, again under a new id where it was not done though it was to be.
    pub async fn make(&self, transfer: Transfer, ending: Ending) {
        for attempt in 1..=ATTEMPTS {
            let transfer = Transfer { id: format!("{}-{attempt:02}", transfer.id), ..transfer.clone() };
            let is_over = self.attempt(&transfer, ending).await != Said::NotDone
                || matches!(ending, Ending::RolledBack | Ending::Dropped);
            if is_over {
                return;
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(..8))).await;
        }
    }

    /// Makes one attempt and notes what was said of it.
    pub async fn attempt(&self, transfer: &Transfer, ending: Ending) -> Said {
        let said = match ending {
            Ending::Transaction => self.in_transaction(transfer, TxOptions::default()).await,
            Ending::Idempotent => self.idempotent(transfer).await,
            _ => self.by_hand(transfer, ending).await,
        };
        self.ledger.note(transfer, said);
        said
    }

    async fn by_hand(&self, transfer: &Transfer, ending: Ending) -> Said {
        let result = async {
            let tx = self.queue.engine.begin().await?;
            transfer.write(&self.queue, &tx).await?;
            match ending {
                Ending::RolledBack => {
                    tx.rollback().await;
                    Ok(Said::NotDone)
                }
                Ending::Dropped => Ok(Said::NotDone),
                Ending::Cancelled => {
                    let patience = Duration::from_micros(fastrand::u64(..20_000));
                    match tokio::time::timeout(patience, tx.commit()).await {
                        Ok(committed) => committed.map(|_| Said::Done),
                        Err(_) => Ok(Said::Unknown),
                    }
                }
                _ => tx.commit().await.map(|_| Said::Done),
            }
        };
        self.heard(result.await).unwrap_or_else(|error| Said::of(&Err::<(), _>(error)))
    }

    async fn in_transaction(&self, transfer: &Transfer, options: TxOptions) -> Said {
        let write = |tx| async move { transfer.write(&self.queue, &tx).await };
        let result: Result<(), TitoError> = self.queue.engine.transaction_with(options, write).await;
        Said::of(&self.heard(result))
    }

    /// Every call but one does nothing, so calling it again finds out.
    async fn idempotent(&self, transfer: &Transfer) -> Said {
        let mut was_unknown = false;
        loop {
            let options = TxOptions::default().idempotency_key(&transfer.id);
            let write = |tx| async move { transfer.write(&self.queue, &tx).await };
            let result: Result<(), TitoError> = self.queue.engine.transaction_with(options, write).await;
            match self.heard(result) {
                Ok(()) => return Said::Done,
                Err(TitoError::AlreadyApplied { .. }) => {
                    assert!(was_unknown, "{transfer:?} was done by a call that said it was not");
                    return Said::Done;
                }
                Err(TitoError::CommitUnknown { .. }) => was_unknown = true,
                Err(error) if was_unknown => assert!(error.is_not_committed()),
                Err(error) => return Said::of(&Err::<(), _>(error)),
            }
        }
    }

    fn heard<T>(&self, result: Result<T, TitoError>) -> Result<T, TitoError> {
        result.inspect_err(|error| self.ledger.note_error(error))
    }
}
