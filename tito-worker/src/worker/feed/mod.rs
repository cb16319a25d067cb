//! Events that a subscription's handlers get from outside its queue: those that a reactor reads from its store.
//!
//! A feed works alongside the first partition of its queue, and belongs to whoever owns that. It runs its handlers by
//! itself, as many at a time as the subscription says. Any event that isn't done at the first attempt goes into the
//! queue, and is an event like any other from then on.
//!
//! | file | idea |
//! |---|---|
//! | `controls` | what a feed is told while it works |
//! | `run` | runs its handlers, within the subscription's limits |
//! | `ended` | a handler's result, and who has to be told |
//! | `record` | what becomes of an event, recorded |

mod controls;
mod ended;
mod record;
mod run;

use std::sync::Arc;

use futures::future::BoxFuture;
use tito_core::{BoxError, Database, Result};

use super::deaths::Hands;
use super::fence::Fence;
use super::report::WorkerReport;
use super::runner::Runner;
use crate::handler::BoxedHandler;
use crate::membership::Lease;
use crate::outcome::Outcome;

pub use self::controls::FeedControls;
pub use self::ended::{FeedEnded, FeedRun, FeedWatched};
pub use self::record::{FeedChecked, FeedRecorded};
pub use self::run::{Permit, Started};

/// The partition that a feed works alongside.
pub(super) const PARTITION: u16 = 0;

/// A handler, and its feed if it has one.
pub(super) type MaybeFed = (BoxedHandler, Option<Arc<dyn Feed>>);

/// Hands events from elsewhere to the handlers of a subscription.
pub trait Feed: Send + Sync + 'static {
    /// Works until told to stop; in a drain ([`FeedControls::drains`]), until nothing is left to do.
    fn run(self: Arc<Self>, fed: Fed, controls: FeedControls) -> BoxFuture<'static, Result<WorkerReport>>;
}

/// A handler's result.
pub type HandlerResult = std::result::Result<Outcome, BoxError>;

/// What a feed works with.
#[derive(Clone)]
pub struct Fed {
    runner: Arc<Runner>,
    fence: Fence,
    hands: Option<Arc<Hands>>,
}

impl Fed {
    pub(super) fn new(runner: Arc<Runner>, lease: Option<Lease>, hands: Option<Arc<Hands>>) -> Self {
        let fence = Fence::new(&runner.queue, PARTITION, lease);
        Self { runner, fence, hands }
    }

    /// See `Origin::worker`.
    fn worker(&self) -> Option<uuid::Uuid> {
        self.fence.member().or_else(|| self.hands.as_ref().map(|hands| hands.id()))
    }

    /// The worker's database.
    pub fn database(&self) -> &Database {
        &self.runner.database
    }

    /// The name of the queue.
    pub fn queue(&self) -> &Arc<str> {
        &self.runner.queue
    }

    /// Whether later events of an entity wait for one that has failed.
    pub fn keeps_order(&self) -> bool {
        self.runner.policy.order.keeps_places()
    }

    /// Whether effects of what was read under an earlier revision of the topic must not be committed.
    pub fn is_fenced(&self, read_under: u64, revision: u64) -> bool {
        self.runner.policy.order.is_fenced(read_under, revision)
    }

    /// Call this before handlers begin. It returns whether a process has recently died for unknown reasons: then events
    /// are put into the queue, where the cause is found.
    ///
    /// # Errors
    /// Those of the engine: nothing is to be handed out then.
    pub async fn begin(&self) -> Result<bool> {
        let Some(hands) = &self.hands else { return Ok(false) };
        hands.begin().await?;
        Ok(hands.keeps_lists())
    }
}
