//! A commit runs in a task of its own: if the caller gives up, it still runs to its end.
use std::sync::Arc;

use tokio::sync::oneshot;

use super::core::Core;
use super::driver::drive;
use super::keyspace::status_of;
use crate::protocol::commit::{Commit, Plan};
use crate::{Error, Outcome, Reason};

impl Core {
    pub(super) async fn commit(self: &Arc<Self>, plan: Plan) -> Outcome {
        if self.tasks.is_closed() {
            return Outcome::NotCommitted(Reason::Failed(Error::Closed));
        }
        let (tell, told) = oneshot::channel();
        let (core, mut tell, start) = (self.clone(), Some(tell), plan.start);
        let decided = move |outcome: Outcome| {
            // Before anybody hears of it: who is woken by it, and meets one of its locks, need not ask.
            if let Some(status) = status_of(&outcome) {
                core.outcomes.note(start, status);
            }
            if let Some(tell) = tell.take() {
                let _ = tell.send(core.keyspace.own_outcome(outcome));
            }
        };
        let limit = self.settings.call_deadline;
        self.tasks.spawn(drive(self.clone(), Commit::new(plan), limit, decided));
        // Only a client that is closed ends a commit under way.
        told.await.unwrap_or(Outcome::Unknown(Error::Closed))
    }
}
