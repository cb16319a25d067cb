//! What Tito asks of an engine. Everything above knows engines through [`TitoEngine`] and [`TitoTransaction`] only;
//! the conformance suite of `tito-testkit` checks what is written here.

mod context;
mod idempotency;
mod identity;
mod limits;
mod options;
mod outbox;
mod published;
mod retry;
mod traits;
mod walk;
#[cfg(any(feature = "embedded", feature = "tikv"))]
pub(crate) mod write_buffer;

pub use context::{EngineContext, Wakeup, Wakeups};
pub use idempotency::prune_idempotency_markers;
pub use identity::DatabaseIdentity;
pub use limits::Limits;
pub use options::TxOptions;
pub use outbox::{Announcement, Announcements, Outbox};
pub use published::PUBLISHED;
pub use traits::{KeyValue, TitoEngine, TitoTransaction};
pub use walk::{PageSize, Walk, walk_in_steps};
