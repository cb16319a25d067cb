//! What can go wrong about topics, queues and schedules.

use tito_core::TitoError;
use uuid::Uuid;

/// What went wrong about a topic, a queue, a schedule or a subscription, and whether trying again can help
/// ([`QueueError::is_retryable`]).
///
/// `?` turns it into a [`TitoError`], so that it passes through transactions and handlers, and `QueueError::from` turns
/// that back into the same error.
///
/// ```
/// use tito_core::TitoError;
/// use tito_worker::QueueError;
///
/// let error = TitoError::from(QueueError::NoQueue { topic: "mail".to_string() });
/// assert!(matches!(QueueError::from(error), QueueError::NoQueue { topic } if topic == "mail"));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// A topic that does not exist. Publishing to it creates it; asking about it does not.
    #[error("there is no topic {topic:?}{}", nearest.as_ref().map(|name| format!(", the nearest is {name:?}")).unwrap_or_default())]
    UnknownTopic {
        /// The topic.
        topic: String,
        /// The topic with the nearest name, if one is similar.
        nearest: Option<String>,
    },

    /// A group that the topic does not have.
    #[error("topic {topic:?} has no group {group:?}")]
    UnknownGroup {
        /// The topic.
        topic: String,
        /// The group.
        group: String,
    },

    /// A change that would leave a topic with neither a queue of its own nor a group.
    #[error(
        "topic {topic:?} would have no queue, and its events would be kept nowhere: it needs a group, or its own queue"
    )]
    NoQueue {
        /// The topic.
        topic: String,
    },

    /// Another change of the number of partitions is under way, and has to be finished first.
    #[error(
        "topic {topic:?} can't get {asked} partitions while its change from {from} to {to} is under way: \
         finish it by asking for {to} again"
    )]
    ResizeUnderWay {
        /// The topic.
        topic: String,
        /// The number of partitions before the change that is under way.
        from: u16,
        /// The number of partitions after it.
        to: u16,
        /// The number that was asked for.
        asked: u16,
    },

    /// A periodic schedule that can't be used as described.
    #[error("schedule {name:?} can't be used: {reason}")]
    InvalidSchedule {
        /// The schedule.
        name: String,
        /// What was expected, with the text at fault.
        reason: String,
    },

    /// A worker with two subscriptions to one queue: either of them would get each event.
    #[error("the worker subscribes to queue {queue:?} twice: one subscription is enough, another consumer is a group")]
    SubscribedTwice {
        /// The queue.
        queue: String,
    },

    /// A payload in a version that this program does not know yet: an event of a later release of the program.
    #[error("the event of topic {topic:?} has version {version}, this program knows versions up to {known}")]
    LaterVersion {
        /// The event's topic.
        topic: String,
        /// The payload's version.
        version: u32,
        /// The latest version that the program knows.
        known: u32,
    },

    /// A worker that no longer exists, or never did.
    #[error("there is no live worker {worker}: a worker has a new id after each start")]
    UnknownWorker {
        /// Its id.
        worker: Uuid,
    },

    /// An operation that was never started, or ended more than a week ago.
    #[error("there is no operation {id}")]
    UnknownOperation {
        /// Its id.
        id: uuid::Uuid,
    },

    /// An operation that only a worker whose application has registered it can run, or a later release.
    #[error("operation {id} can't be run here: it needs a running worker of the application that registered it")]
    UnknownStep {
        /// Its id.
        id: uuid::Uuid,
    },

    /// The engine failed, or the database refused something, such as a name.
    #[error(transparent)]
    Engine(TitoError),
}

impl QueueError {
    /// Whether the same call can succeed later: as [`TitoError::is_retryable`].
    pub fn is_retryable(&self) -> bool {
        self.engine().is_some_and(TitoError::is_retryable)
    }

    /// Whether the engine or its storage failed, rather than the call: as [`TitoError::is_engine_failure`].
    pub fn is_engine_failure(&self) -> bool {
        self.engine().is_some_and(TitoError::is_engine_failure)
    }

    /// Whether the engine is closed: as [`TitoError::is_closed`].
    pub fn is_closed(&self) -> bool {
        self.engine().is_some_and(TitoError::is_closed)
    }

    /// The engine's or the database's error, if it is one.
    pub fn engine(&self) -> Option<&TitoError> {
        match self {
            Self::Engine(error) => Some(error),
            _ => None,
        }
    }
}

impl From<TitoError> for QueueError {
    /// One that came through a transaction comes out as it went in.
    fn from(error: TitoError) -> Self {
        match &error {
            TitoError::Application(source) => source.downcast_ref::<Self>().cloned().unwrap_or(Self::Engine(error)),
            _ => Self::Engine(error),
        }
    }
}

impl From<QueueError> for TitoError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Engine(error) => error,
            error => Self::application(error),
        }
    }
}
