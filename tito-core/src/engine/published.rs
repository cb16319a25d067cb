//! What the commits of this process publish, for whoever watches.

use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

/// How many events whoever watches may be behind before some are dropped for them.
const KEPT: usize = 1_024;

/// An event that a commit of this process has put into a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedEvent {
    /// The queue: the topic's own, or a group's.
    pub queue: Arc<str>,
    /// The event's id.
    pub id: Uuid,
    /// What it is about.
    pub entity: String,
    /// When it falls due, in Unix seconds.
    pub due: i64,
}

/// Those of this process who watch. There is nothing until somebody does.
#[derive(Debug, Default)]
pub(super) struct Watched(OnceLock<broadcast::Sender<PublishedEvent>>);

/// What is published from now on: see [`Shared::watch_published`](super::Shared::watch_published).
#[derive(Debug)]
pub struct PublishedEvents(broadcast::Receiver<PublishedEvent>);

/// What [`PublishedEvents::next`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeardPublished {
    /// An event.
    Event(PublishedEvent),
    /// So many events were dropped here, as whoever watches was too slow.
    Dropped(u64),
}

impl Watched {
    pub(super) fn watch(&self) -> PublishedEvents {
        PublishedEvents(self.0.get_or_init(|| broadcast::channel(KEPT).0).subscribe())
    }

    /// Whether anybody does: else commits need not carry what they publish.
    pub(super) fn is_watched(&self) -> bool {
        self.0.get().is_some_and(|sender| sender.receiver_count() > 0)
    }

    pub(super) fn deliver(&self, published: Vec<PublishedEvent>) {
        let Some(sender) = self.0.get() else { return };
        for event in published {
            // An error means that the last one who watched has gone since.
            let _ = sender.send(event);
        }
    }
}

impl PublishedEvents {
    /// Waits for the next event. Safe to cancel: nothing is taken before it returns.
    pub async fn next(&mut self) -> HeardPublished {
        match self.0.recv().await {
            Ok(event) => HeardPublished::Event(event),
            Err(RecvError::Lagged(dropped)) => HeardPublished::Dropped(dropped),
            // The engine is gone, and whoever waits for that is told by it.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
