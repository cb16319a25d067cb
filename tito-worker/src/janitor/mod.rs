//! Deletes what is kept for a time only, in small steps beside the workers, finishes changes of topics that others have
//! begun, and warns of queues that nobody serves.
//!
//! | file | idea |
//! |---|---|
//! | `holding` | which of many queues hold something that may have to be deleted |
//! | `surplus` | what a queue keeps more of than its number allows |
//! | `sweep` | one step, and the whole of it by hand |
//! | `unattended` | queues whose due events nobody acknowledges |

mod holding;
mod surplus;
mod sweep;
mod unattended;

use std::sync::Arc;
use std::time::Duration;

use tito_core::database::{Walk, drop_expired_markers};
use tito_core::{Result, TitoError};
use tokio::sync::watch;

use self::holding::holding;
use self::sweep::Sweep;
pub use self::sweep::Swept;
use self::unattended::{Stuck, Unattended};
use crate::facts::sweep_backlogs;
use crate::keys;
use crate::owner::sweep_owned;
use crate::queue::TitoQueue;
use crate::registration::sweep_registrations;

/// How long a worker takes to look after all of its queues, about.
const ROUND: Duration = Duration::from_secs(30);

/// With many queues a round takes longer, so that looking at idle ones costs next to nothing.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Of more queues than this it is found out together which hold anything, and only those are looked at.
const FEW_QUEUES: usize = 16;

/// Between two transactions, which leaves the engine to others.
const STEP_PAUSE: Duration = Duration::from_millis(20);

/// A look at a queue ends after this many transactions in a row that had nothing to delete; where there are more unique
/// events the next one goes on with them.
const FRUITLESS_STEPS: usize = 10;

/// And after this many in all: what is left is left to the next look, so that other queues have theirs.
const MOST_STEPS: usize = 1_000;

/// Looks after queues until it is stopped. Every worker of a fleet does so, at other times, and gives way where two meet.
pub(crate) async fn run(queue: TitoQueue, queues: Vec<Arc<str>>, mut stopped: watch::Receiver<bool>) {
    if queues.is_empty() {
        return;
    }
    let rounds = async {
        let pause = (ROUND / u32::try_from(queues.len()).unwrap_or(u32::MAX)).max(SHORTEST_PAUSE);
        let mut unattended = Unattended::default();
        let mut markers = Walk::over(keys::idempotency_markers());
        let mut owned = Walk::over(keys::all_owned());
        let mut sweeps: Vec<_> = queues.iter().map(|name| Sweep::new(name)).collect();
        loop {
            let those_with_rows = match queues.len() {
                ..=FEW_QUEUES => None,
                _ => holding(&queue.engine, &queues)
                    .await
                    .inspect_err(|error| tracing::warn!(%error, "each queue is looked at for what is past its time"))
                    .ok(),
            };
            for sweep in &mut sweeps {
                tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
                if those_with_rows.as_ref().is_some_and(|found| !found.contains(sweep.queue())) {
                    continue;
                }
                let message = "what is past its time can't be deleted, trying later";
                match look(&queue, sweep).await {
                    Ok(()) => {}
                    Err(error @ TitoError::Malformed { .. }) => queue.engine.log_damaged(&error, message),
                    Err(error) => tracing::warn!(queue = sweep.queue(), %error, "{message}"),
                }
            }
            // What a process began that has died since. Several may finish it at once.
            if let Err(error) = queue.finish_changes().await {
                tracing::warn!(%error, "changes of topics that others have begun could not be finished, trying later");
            }
            if let Err(error) = drop_some_markers(&queue, &mut markers).await {
                tracing::warn!(%error, "expired idempotency markers could not be deleted, trying later");
            }
            if let Err(error) = sweep_some_owned(&queue, &mut owned).await {
                tracing::warn!(%error, "rows of owners whose events are gone could not be deleted, trying later");
            }
            if let Err(error) = sweep_registrations(&queue.engine).await {
                tracing::warn!(%error, "rows of dead workers could not be deleted, trying later");
            }
            if let Err(error) = sweep_backlogs(&queue.engine).await {
                tracing::warn!(%error, "what was counted of queues that nobody looks at can't be deleted, trying later");
            }
            match unattended.look(&queue).await {
                Ok(stuck) => stuck.iter().for_each(Stuck::warn),
                Err(error) => tracing::warn!(%error, "queues that nobody serves could not be looked for, trying later"),
            }
        }
    };
    tokio::select! {
        // A transaction that is dropped is rolled back.
        () = rounds => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

impl TitoQueue {
    /// Deletes, by the engine's time, what is past its time of what workers say of themselves: rows of those that died five
    /// minutes ago or more and what these were told, minutes of two hours ago, and what was counted of queues that nobody
    /// has looked at for ten minutes. Returns how many rows are gone. In transactions of some 100 rows; where one meets
    /// another transaction it leaves the rest to the next sweep.
    ///
    /// A running [`Worker`](crate::Worker) does this by itself, about every 30 s. It is for programs without one.
    ///
    /// # Errors
    /// Those of the engine; what was deleted by then stays deleted.
    pub async fn sweep_facts(&self) -> Result<u64> {
        let mut total = 0;
        loop {
            let deleted = sweep_registrations(&self.engine).await? + sweep_backlogs(&self.engine).await?;
            total += deleted as u64;
            if deleted == 0 {
                return Ok(total);
            }
        }
    }
}

async fn look(queue: &TitoQueue, sweep: &mut Sweep) -> Result<()> {
    sweep.look_again();
    let (mut fruitless, mut steps) = (0, 0);
    while let Some(swept) = sweep.step(&queue.engine).await? {
        steps += 1;
        fruitless = if swept.is_nothing() && !sweep.is_counting() { fruitless + 1 } else { 0 };
        if fruitless == FRUITLESS_STEPS || steps == MOST_STEPS {
            return Ok(());
        }
        tokio::time::sleep(STEP_PAUSE).await;
    }
    Ok(())
}

/// Goes on with one slow walk over all markers, which may take many rounds.
async fn drop_some_markers(queue: &TitoQueue, markers: &mut Walk) -> Result<()> {
    for _ in 0..FRUITLESS_STEPS {
        drop_expired_markers(&queue.engine, markers).await?;
        if markers.is_over() {
            *markers = Walk::over(keys::idempotency_markers());
            return Ok(());
        }
        tokio::time::sleep(STEP_PAUSE).await;
    }
    Ok(())
}

/// Goes on with one walk over all that says to whom something belongs, for as long as there is something to delete.
async fn sweep_some_owned(queue: &TitoQueue, owned: &mut Walk) -> Result<()> {
    let mut fruitless = 0;
    while fruitless < FRUITLESS_STEPS {
        fruitless = if sweep_owned(&queue.engine, owned).await? > 0 { 0 } else { fruitless + 1 };
        if owned.is_over() {
            *owned = Walk::over(keys::all_owned());
            return Ok(());
        }
        tokio::time::sleep(STEP_PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tito_core::embedded::EmbeddedBackend;
    use tito_core::{Database, TxOptions};

    use tito_core::event::TitoEvent;

    use super::*;
    use crate::worker::Worker;

    async fn is_stored(db: &Database, key: &[u8]) -> bool {
        db.begin().await.unwrap().get(key).await.unwrap().is_some()
    }

    /// Waits until a key is deleted. How much time passes while the engine's threads are at work nobody knows.
    async fn gone(db: &Database, key: &[u8]) {
        while is_stored(db, key).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Time that nobody works in passes at once.
    #[tokio::test(start_paused = true)]
    async fn queues_are_looked_after_until_the_worker_is_stopped() {
        let db = EmbeddedBackend::in_memory().await.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let worker = Worker::builder(TitoQueue::new(db.clone()))
            .subscribe("first", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
            .subscribe("second", |_: TitoEvent| async { Ok::<_, TitoError>(()) })
            .build();
        let running = tokio::spawn(async move { worker.run(async { stopped.await.unwrap() }).await });
        // The last one comes when the first round is over.
        for queue in ["first", "second", "first"] {
            let key = keys::done_event(queue, 7, 1, uuid::Uuid::nil());
            let (tx, done) = (db.begin().await.unwrap(), key.clone());
            tx.system_keys().put(done, Vec::new()).await.unwrap();
            tx.commit().await.unwrap();
            gone(&db, &key).await;
        }
        for (key, age) in [("kept", Duration::MAX), ("expired", Duration::ZERO)] {
            let options = TxOptions::default().idempotency_key(key).idempotency_age(age);
            db.transaction_with(options, |_| async { Ok::<_, TitoError>(()) }).await.unwrap();
        }
        gone(&db, &keys::idempotency_marker("expired")).await;
        assert!(is_stored(&db, &keys::idempotency_marker("kept")).await);
        let row = keys::owned("ada", &keys::done_event("first", 7, 1, uuid::Uuid::nil()));
        let (tx, owned) = (db.begin().await.unwrap(), row.clone());
        tx.system_keys().put(owned, b"{}".to_vec()).await.unwrap();
        tx.commit().await.unwrap();
        // What it names is gone.
        gone(&db, &row).await;
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
    }
}
