//! What must hold whenever a lock is granted, and at the end of every run.
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::world::{Hold, Life, Pending, WRITTEN, World};
use crate::protocol::exploration::records::commit_of;
use crate::protocol::exploration::world::key;
use crate::{Error, Outcome, Timestamp};

impl World<'_> {
    /// Nobody else holds the key, unless their time is over.
    pub(super) fn check_grant(&mut self, number: usize, key: &str) {
        let now = self.now_millis();
        let lives = |hold: &&Hold| {
            hold.key == key
                && hold.actor != number
                && hold.until.is_none()
                && now <= self.actors[hold.actor].lives_until
        };
        if let Some(other) = self.holds.iter().find(lives) {
            self.wrong = Some(format!("{key} is held by {} and {number} at once", other.actor));
        }
    }

    /// A refusal has to have a real reason.
    pub(super) fn check_refusal(&mut self, number: usize, error: &Error) {
        self.deadlocks += usize::from(matches!(error, Error::Deadlock { .. }));
        match error {
            Error::Locked { .. } | Error::Deadline { .. } => {}
            // A late request waits as its sender would.
            Error::Deadlock { holder, .. } if !self.is_disturbed => {
                let waits = |pending: &Pending| matches!(pending, Pending::Waiting { .. });
                let holds = self.holds.iter().any(|hold| hold.actor == number && hold.until.is_none());
                let closes = self.actors.iter().any(|actor| {
                    actor.start == holder.raw()
                        && matches!(actor.life, Life::Acquiring(_))
                        && actor.pending.iter().any(waits)
                });
                if !holds || !closes {
                    self.wrong = Some(format!("{number} was told of a circle that is none: {error:?}"));
                }
            }
            Error::Deadlock { .. } => {}
            error => self.wrong = Some(format!("{number} was refused by {error:?}")),
        }
    }

    /// What must hold whatever happened.
    pub(super) async fn check(mut self) -> Result<(), String> {
        for (region, request) in std::mem::take(&mut self.ghosts) {
            self.haunt(region, request).await;
        }
        self.quiet().await;
        if let Some(actor) = self.actors.iter().find(|actor| !matches!(actor.life, Life::Gone)) {
            return Err(format!("the holder of {} never ends", actor.start));
        }
        // What the dead and late requests left behind goes when its time is over.
        self.clock.fetch_add(600_000, Ordering::Relaxed);
        let keys: Vec<String> = (0..self.setting.keys).map(key).collect();
        let mut last = self.client.guards().await.map_err(|error| format!("there is no time: {error}"))?;
        let found = last.lock(&keys, Duration::from_secs(60)).await;
        let found = found.map_err(|error| format!("whoever comes later is blocked: {error:?}"))?;
        last.release().await;
        if !self.cluster.locks().is_empty() {
            return Err(format!("locks are left: {:?}", self.cluster.locks()));
        }
        let Some(writer) = self.actors.get(2) else {
            return Ok(());
        };
        let mut commits = Vec::new();
        for key in &keys {
            commits.push(commit_of(&self.cluster, &self.core, writer.start, key).await);
        }
        if commits.iter().any(|commit| *commit != commits[0]) {
            return Err(format!("the writer's transaction is torn: {commits:?}"));
        }
        match (&writer.outcome, commits[0]) {
            (Some(Outcome::Committed(told)), Some(found)) if told.raw() == found => {}
            (Some(Outcome::NotCommitted(_)), None) | (Some(Outcome::Unknown(_)) | None, _) => {}
            (told, found) => return Err(format!("reported {told:?}, found {found:?}")),
        }
        let Some(at) = commits[0] else { return Ok(()) };
        if found.iter().any(|found| found.value.as_deref() != Some(WRITTEN)) {
            return Err(format!("expected what was written, found {found:?}"));
        }
        self.holds.iter().try_for_each(|hold| self.check_hold(hold, at))
    }

    /// Nobody writes a key while it is held, and the value told with the lock is the newest.
    fn check_hold(&self, hold: &Hold, written_at: u64) -> Result<(), String> {
        let lives = Timestamp::from_raw(written_at).physical_millis() <= self.actors[hold.actor].lives_until;
        let (from, until) = (hold.from, hold.until.unwrap_or(u64::MAX));
        if from < written_at && written_at < until && lives {
            return Err(format!("{} was written at {written_at}, and held from {from} to {until}", hold.key));
        }
        match (&hold.value, written_at < from) {
            (Some(value), true) if value == WRITTEN => Ok(()),
            (None, false) => Ok(()),
            (value, _) => Err(format!("{} was told to have {value:?} at {from}, written at {written_at}", hold.key)),
        }
    }
}
