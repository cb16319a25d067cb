//! The loop that a worker runs beside its partitions.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;

use super::firing::Rounds;
use crate::queue::TitoQueue;

/// How often schedules are read for new and changed ones.
const LOOK: Duration = Duration::from_secs(1);

/// The shortest pause, in milliseconds, where a firing falls due at once that was not published.
const SHORTEST_WAIT: u64 = 20;

/// The pauses between attempts to reach an engine that fails.
const FIRST_ERROR_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_ERROR_PAUSE: Duration = Duration::from_secs(5);

/// Publishes what falls due, while `active` is true and until `stopped` is. A round that is cut short by that has
/// published a firing and stored the next one, or neither.
pub(crate) async fn run(queue: TitoQueue, mut stopped: watch::Receiver<bool>, active: watch::Receiver<bool>) {
    tokio::select! {
        _ = stopped.wait_for(|stopped| *stopped) => {}
        () = publish(queue, active) => {}
    }
}

async fn publish(queue: TitoQueue, mut active: watch::Receiver<bool>) {
    let clock = queue.engine.clock().clone();
    let mut rounds = Rounds::new(queue);
    let mut error_pause = FIRST_ERROR_PAUSE;
    // Fails when the worker is gone.
    while active.wait_for(|active| *active).await.is_ok() {
        let began = clock.monotonic_millis();
        let round = match rounds.round().await {
            Ok(round) => round,
            Err(error) => {
                tracing::warn!(%error, "schedules could not be fired, trying again");
                tokio::time::sleep(error_pause).await;
                error_pause = (error_pause * 2).min(LONGEST_ERROR_PAUSE);
                continue;
            }
        };
        error_pause = FIRST_ERROR_PAUSE;
        if round.published > 0 {
            // There may be more.
            continue;
        }
        let falls_due = async {
            match round.next_in {
                Some(millis) => clock.wait_until_monotonic(began.saturating_add(millis.max(SHORTEST_WAIT))).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = falls_due => {}
            _ = active.changed() => {}
        }
    }
}
