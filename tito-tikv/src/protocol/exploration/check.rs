//! What must hold at the end of every run.
use super::records::commit_of;
use super::world::{Acting, World, key};
use crate::protocol::resolve::Status;
use crate::{Outcome, Snapshot, Timestamp};

impl World<'_> {
    /// What must hold whatever happened.
    pub(super) async fn check(mut self) -> Result<(), String> {
        for (region, request) in std::mem::take(&mut self.ghosts) {
            self.core.send(&region, request).await;
        }
        // Whoever comes later clears everything away.
        self.cluster.jump_clock(600_000);
        let snapshot = Snapshot::new(self.core.clone(), Timestamp::from_raw(self.cluster.timestamp()));
        let keys: Vec<String> = (0..self.setting.keys).map(key).collect();
        let last = snapshot.batch_get(&keys).await.map_err(|error| format!("a reader is blocked: {error}"))?;
        for _ in 0..1_000 {
            if self.cluster.locks().is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if !self.cluster.locks().is_empty() {
            return Err(format!("locks are left: {:?}", self.cluster.locks()));
        }
        let mut commits = Vec::new();
        for actor in self.actors.iter().filter(|actor| actor.start != 0) {
            if matches!(actor.acting, Acting::Looking) {
                continue;
            }
            commits.push((actor, self.commits_of(actor.start, &keys).await));
        }
        let mut whole: Vec<(u64, u64)> = Vec::new();
        for (actor, at) in &commits {
            if !matches!(actor.acting, Acting::Gone) {
                return Err(format!("the transaction of {} never ends", actor.start));
            }
            let done = at.iter().flatten().count();
            if done != 0 && done != keys.len() {
                return Err(format!(
                    "the transaction of {} is torn: {at:?}, reported {:?}",
                    actor.start, actor.outcome
                ));
            }
            let first = at[0];
            if at.iter().any(|other| *other != first) {
                return Err(format!("the transaction of {} has several commit timestamps: {at:?}", actor.start));
            }
            match (&actor.outcome, first) {
                (Some(Outcome::Committed(told)), Some(found)) if told.raw() == found => {}
                (Some(Outcome::NotCommitted(_)), None) | (Some(Outcome::Unknown(_)) | None, _) => {}
                (told, found) => return Err(format!("reported {told:?}, found {found:?}")),
            }
            match (actor.status, first) {
                (Some((_, Status::Committed(told))), Some(found)) if told == found => {}
                (Some((_, Status::RolledBack)), None) => {}
                (Some((_, Status::Pushed | Status::Alive { .. } | Status::Released)) | None, _) => {}
                (told, found) => return Err(format!("a stranger was told {told:?}, found {found:?}")),
            }
            if let Some(found) = first
                && !whole.iter().any(|(start, _)| *start == actor.start)
            {
                whole.push((actor.start, found));
            }
        }
        if let [(one_start, one), (other_start, other)] = whole[..]
            && !(one < other_start || other < one_start)
        {
            return Err(format!("both were committed: {one_start} at {one}, {other_start} at {other}"));
        }
        let newest = whole.iter().max_by_key(|(_, at)| *at).map(|(start, _)| start.to_string().into_bytes());
        let fallback = self.setting.overlapped.then(|| b"before".to_vec());
        match newest {
            Some(value) if last.len() == keys.len() && last.iter().all(|(_, found)| *found == value) => Ok(()),
            None if last.iter().all(|(_, found)| Some(found) == fallback.as_ref()) => Ok(()),
            newest => Err(format!("expected {newest:?}, found {last:?}")),
        }
    }

    /// The timestamp at which a transaction committed each key.
    async fn commits_of(&self, start: u64, keys: &[String]) -> Vec<Option<u64>> {
        let mut found = Vec::new();
        for key in keys {
            found.push(commit_of(&self.cluster, &self.core, start, key).await);
        }
        found
    }
}
