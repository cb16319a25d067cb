//! What a member does by itself while its worker runs.

use futures::FutureExt;
use tito_core::Result;
use tokio::sync::watch;

use crate::keys;

use super::Membership;
use super::round::RoundEnd;
use super::sightings::OwnMembers;

/// A member that waits for something looks this many times as often.
const HASTE: u64 = 5;

impl Membership {
    /// Works until `stopped` is true (or its sender is gone), releases all partitions, and leaves once every partition
    /// that was [begun](Membership::begin) has been [released](Membership::release). Returns at once when
    /// [`leave`](Membership::leave) is called meanwhile, or the engine is closed: nobody can say that it leaves then.
    pub(crate) async fn run(&self, stopped: watch::Receiver<bool>) {
        let mut left = self.left.subscribe();
        tokio::select! {
            () = self.rounds() => {}
            () = self.watch_for_lateness() => {}
            () = self.close_when(stopped) => {}
            _ = left.wait_for(|left| *left) => {}
            _ = self.database.closed() => return,
        }
        self.leave().await;
    }

    /// Gives back what is left and deletes the member's row, with one attempt: nothing runs here any more. If the engine
    /// can't be reached, the others find out by themselves within a lease time.
    pub(crate) async fn leave(&self) {
        if self.left.send_replace(true) {
            return;
        }
        let leaving = async {
            let _turn = self.turn.lock().await;
            self.holdings.all_stopped();
            self.give_back_free().await?;
            let deleting = self.database.transaction(|tx| async move {
                self.ring(&tx);
                tx.system_keys().delete(keys::member(&self.fleet, self.id)).await
            });
            deleting.boxed().await
        };
        if let Err(error) = self.call("leaving the fleet", leaving.boxed()).await {
            tracing::warn!(fleet = %self.fleet, member = %self.id, %error, "a member could not remove its row when it left");
        }
        OwnMembers::remove(&self.database, self.id);
    }

    /// Rounds until nothing is held any more after the holdings were closed.
    async fn rounds(&self) {
        let clock = self.clock();
        let bell = self.database.shared().listen(&self.bell, 0);
        loop {
            let began = clock.monotonic_millis();
            let round = self.round().await;
            if self.holdings.is_closed() && self.holdings.is_empty() {
                return;
            }
            let pause = self.pause_millis(round);
            tokio::select! {
                () = clock.wait_until_monotonic(began.saturating_add(pause)) => {}
                () = self.nudge.notified() => {}
                _ = bell.woken() => {}
            }
        }
    }

    fn pause_millis(&self, round: Result<RoundEnd>) -> u64 {
        let period = self.options.period_millis();
        match round {
            Ok(RoundEnd::Settled) => period,
            Ok(RoundEnd::Waiting) => period / HASTE,
            Err(error) => {
                tracing::warn!(fleet = %self.fleet, member = %self.id, %error, "a round of a member failed, trying again");
                period / HASTE
            }
        }
    }

    /// Gives up everything as soon as the worker is stopped. Never ends.
    async fn close_when(&self, mut stopped: watch::Receiver<bool>) {
        // An error says that nobody is left who could stop the worker, which is over then.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        self.holdings.close();
        self.nudge();
        std::future::pending().await
    }
}
