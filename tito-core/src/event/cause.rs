//! The cause of the events that a task writes.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use uuid::Uuid;

tokio::task_local! {
    static CURRENT: Cause;
}

/// The event that a task works on: whatever the task publishes was caused by it, and says so in its
/// [`causation_id`](super::TitoEvent::causation_id). Workers run each handler in the scope of its event.
///
/// ```
/// use tito_core::event::Cause;
/// use uuid::Uuid;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cause = Cause::event(Uuid::nil());
/// cause.clone().scope(async {
///     assert_eq!(Cause::current(), Some(cause));
/// }).await;
/// assert_eq!(Cause::current(), None);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause(Id);

/// An outbox id is formatted only when it is needed: few handlers publish.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    Event(Uuid),
    Text(Arc<str>),
}

impl Cause {
    /// An event of the outbox, by its id.
    pub fn event(id: Uuid) -> Self {
        Self(Id::Event(id))
    }

    /// An event of an event store, or something else that has an id.
    pub fn other(id: &str) -> Self {
        Self(Id::Text(id.into()))
    }

    /// The cause of the innermost [`scope`](Cause::scope) around the caller.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs `work` with this cause: the events that it writes were caused by it. Tasks that it spawns have none, unless
    /// they get a scope of their own.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self, work)
    }
}

/// The id.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Event(id) => id.fmt(f),
            Id::Text(id) => f.write_str(id),
        }
    }
}
