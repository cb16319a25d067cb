//! What a feed is told while it works.

use std::sync::Arc;
use std::time::Duration;

use tito_core::event::Topic;

use crate::worker::partition::Controls;
use crate::worker::runner::Runner;

/// What a feed is told while it works.
pub struct FeedControls {
    /// `None` in a drain.
    controls: Option<Controls>,
    topic: Arc<Topic>,
    queue: Arc<str>,
    shutdown_timeout: Duration,
}

impl FeedControls {
    pub(in crate::worker) fn new(
        controls: Option<Controls>,
        topic: Arc<Topic>,
        runner: &Runner,
        shutdown_timeout: Duration,
    ) -> Self {
        Self { controls, topic, queue: runner.queue.clone(), shutdown_timeout }
    }

    /// Whether it works only until nothing is left to do.
    pub fn drains(&self) -> bool {
        self.controls.is_none()
    }

    /// Whether it should stop, once the running handlers have ended.
    pub fn is_stopped(&self) -> bool {
        self.controls.as_ref().is_some_and(|controls| *controls.stopped.borrow())
    }

    /// Whether handlers may begin.
    pub fn may_hand_out(&self) -> bool {
        let is_active = self.controls.as_ref().is_none_or(|controls| *controls.active.borrow());
        is_active && !self.is_stopped() && !self.with_topic(|topic| topic.is_paused(&self.queue))
    }

    /// The topic's revision, as far as known.
    pub fn revision(&self) -> u64 {
        self.with_topic(|topic| topic.revision)
    }

    fn with_topic<T>(&self, look: impl FnOnce(&Topic) -> T) -> T {
        match &self.controls {
            Some(controls) => look(&controls.topic.borrow()),
            None => look(&self.topic),
        }
    }

    /// Completes when any of these may have changed. Cancel-safe.
    pub async fn changed(&mut self) {
        let Some(controls) = &mut self.controls else { return std::future::pending().await };
        tokio::select! {
            _ = controls.stopped.changed() => {}
            _ = controls.active.changed() => {}
            _ = controls.topic.changed() => {}
        }
    }

    /// How long handlers have to end once it should stop.
    pub fn shutdown_timeout(&self) -> Duration {
        self.shutdown_timeout
    }
}
