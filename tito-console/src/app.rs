//! What all handlers share.

use tito_core::Database;
use tito_worker::TitoQueue;
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::limits::ConsoleLimits;
use crate::redact::Redact;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) database: Database,
    pub(crate) queue: TitoQueue,
    pub(crate) access: Access,
    pub(crate) limits: ConsoleLimits,
    pub(crate) redact: Redact,
    /// One permit for each request that may be under way.
    pub(crate) calls: Semaphore,
}
