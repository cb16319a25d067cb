//! Who works when.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_worker::WorkerReport;
use tito_worker::feed::{Fed, Feed, FeedControls};

use super::beside::Beside;
use super::reaction::Erased;
use super::together::Together;
use crate::error::Result;
use crate::event::Event;
use crate::keys;
use crate::read::{Cursor, Wait};
use crate::select::Select;
use crate::store::EventStore;

/// The pauses after failures of the engine.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The most events in the queue while it is found out what has killed a process.
pub(super) const MOST_SUSPECTS: usize = 1_000;

/// How soon it is tried again where others have all permits, or the queue is full.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A page that is being read, with the cursor that it moves.
pub(super) type Reading = BoxFuture<'static, (Cursor, Result<Vec<Event>>)>;

/// A reactor with its handler.
pub(super) struct Reacting {
    pub(super) store: EventStore,
    pub(super) name: Arc<str>,
    pub(super) select: Select,
    pub(super) handler: Erased,
}

/// Why the work has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// What it went by has changed, or it is not to go on for now.
    Changed,
    /// In a drain, nothing is left to do.
    Idle,
}

impl Feed for Reacting {
    fn run(self: Arc<Self>, fed: Fed, controls: FeedControls) -> BoxFuture<'static, tito_core::Result<WorkerReport>> {
        async move { Ok(self.serve(fed, controls).await?) }.boxed()
    }
}

impl Reacting {
    pub(super) fn key(&self) -> Vec<u8> {
        keys::log_reactor(self.store.id(), &self.name)
    }

    async fn serve(self: Arc<Self>, fed: Fed, mut controls: FeedControls) -> Result<WorkerReport> {
        let (mut report, mut pause) = (WorkerReport::default(), Duration::ZERO);
        while !controls.is_stopped() {
            if !controls.may_hand_out() {
                if controls.drains() {
                    break;
                }
                controls.changed().await;
                continue;
            }
            match self.work(&fed, &mut controls, &mut report).await {
                Ok(Ended::Idle) => break,
                Ok(Ended::Changed) => pause = Duration::ZERO,
                Err(error) if controls.drains() => return Err(error),
                Err(error) => {
                    pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                    self.log(&error, "a reactor can't go on, trying again");
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = controls.changed() => {}
                    }
                }
            }
        }
        Ok(report)
    }

    async fn work(
        self: &Arc<Self>,
        fed: &Fed,
        controls: &mut FeedControls,
        report: &mut WorkerReport,
    ) -> Result<Ended> {
        // From before the first look, so that nothing falls between the two.
        let mut wait = Wait::new(&self.store);
        let Some(begun) = self.begin(fed).await? else {
            if controls.drains() {
                return Ok(Ended::Idle);
            }
            // It may be created anew.
            tokio::select! {
                more = wait.more() => more?,
                () = controls.changed() => {}
            }
            return Ok(Ended::Changed);
        };
        match &self.handler {
            Erased::Plain(handler) => Beside::new(self, handler.clone(), fed, report, begun).work(controls, wait).await,
            Erased::InTransaction(handler) => {
                Together::new(self, handler.clone(), fed, report, begun).work(controls, wait).await
            }
        }
    }

    pub(super) fn log(&self, error: &crate::error::EventStoreError, message: &'static str) {
        let (store, reactor) = (self.store.name(), &*self.name);
        self.store.logger().with(|| tracing::warn!(store, reactor, %error, "{message}"));
    }
}
