//! Where a manager and its stores log to.

use tracing::{Dispatch, dispatcher};

/// A dispatcher of their own, or whatever is set where they log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logger(pub(crate) Option<Dispatch>);

impl Logger {
    /// Does what logs.
    pub(crate) fn with<T>(&self, log: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(dispatch) => dispatcher::with_default(dispatch, log),
            None => log(),
        }
    }
}
