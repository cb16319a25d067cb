//! Heartbeats, so that others don't roll back a long commit.
use super::{Call, Commit, Phase};
use crate::Error;
use crate::protocol::{Output, Pause};

/// How often to extend the life of the primary's lock, in milliseconds: well within the shortest time to live.
const INTERVAL_MILLIS: u64 = 1_000;

impl<R: Clone> Commit<R> {
    /// How long locks have to live, counted from the transaction's start on PD's clock.
    pub(super) fn ttl_millis(&self) -> u64 {
        self.plan.age_millis + self.plan.ttl_millis + self.heart_beats * INTERVAL_MILLIS
    }

    /// Waits for the next heartbeat, if one is needed.
    pub(super) fn await_heart_beat(&mut self) {
        let age_millis = self.plan.age_millis + self.heart_beats * INTERVAL_MILLIS;
        let limit = self.plan.age_limit_millis.unwrap_or(self.plan.age_millis);
        if age_millis <= limit + self.plan.deadline_millis {
            let call = self.calls.open(Call::HeartBeatPause);
            self.out.push(Output::Pause { call, pause: Pause::Millis(INTERVAL_MILLIS) });
        }
    }

    pub(super) fn heart_beat_is_due(&mut self) {
        self.heart_beats += 1;
        if !matches!(self.phase, Phase::Prewriting | Phase::AskingTimestamp | Phase::CommittingPrimary) {
            return;
        }
        if !self.keys[self.plan.primary].prewritten {
            return self.await_heart_beat();
        }
        let call = self.calls.open(Call::HeartBeatLocate);
        self.out.push(Output::Locate { call, keys: vec![self.plan.primary_key().to_vec()] });
    }

    /// Sends a heartbeat. A failed one doesn't matter: the next one follows.
    pub(super) fn beat(&mut self, runs: Result<Vec<(R, usize)>, Error>) {
        match runs.ok().and_then(|runs| runs.into_iter().next()) {
            Some((region, _)) => {
                let request = self.heart_beat_request();
                let call = self.calls.open(Call::HeartBeat);
                self.out.push(Output::Send { call, region, request });
            }
            None => self.await_heart_beat(),
        }
    }
}
