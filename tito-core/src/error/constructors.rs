//! Errors that other crates make: an application's own, and that of a missing runtime.

use super::{Result, SharedError, TitoError};

impl TitoError {
    /// Carries an error of the application's own through [`transaction`](crate::Database::transaction) or a
    /// handler.
    ///
    /// ```
    /// use tito_core::TitoError;
    /// let error = TitoError::application("the account is closed");
    /// assert_eq!(error.to_string(), "the account is closed");
    /// ```
    pub fn application(error: impl Into<SharedError>) -> Self {
        Self::Application(error.into())
    }

    /// [`NoRuntime`](TitoError::NoRuntime), unless the caller is within a Tokio runtime. For engines that need one when
    /// they are opened.
    ///
    /// # Errors
    /// [`NoRuntime`](TitoError::NoRuntime).
    pub fn without_runtime() -> Result<()> {
        tokio::runtime::Handle::try_current().map(drop).map_err(|_| Self::NoRuntime)
    }
}
