//! What all handlers share.

use std::sync::Arc;

use tito_core::Database;
use tito_worker::TitoQueue;
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::audit::Audit;
use crate::checks::Checks;
use crate::limits::ConsoleLimits;
use crate::redact::Redact;
use crate::watch::Watch;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) database: Database,
    pub(crate) queue: TitoQueue,
    pub(crate) access: Access,
    pub(crate) limits: ConsoleLimits,
    pub(crate) redact: Redact,
    /// One permit for each request that may be under way.
    pub(crate) calls: Semaphore,
    /// One permit for each answer that lasts as long as somebody listens.
    pub(crate) streams: Arc<Semaphore>,
    /// One permit for each backup that may be under way.
    pub(crate) backups: Arc<Semaphore>,
    /// One permit for each verification that may be under way.
    pub(crate) verifications: Arc<Semaphore>,
    pub(crate) audit: Audit,
    pub(crate) checks: Checks,
    pub(crate) watch: Option<Watch>,
}
