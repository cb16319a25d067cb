//! Errors from below.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Any error, owned: what closures and handlers of the application return.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// Any error from below, kept as the source of one of Tito's own. Clones share it, so that one failure can be reported
/// to many.
///
/// Any error, a [`BoxError`] and text convert to it with `into()`. It dereferences to the error, with
/// [`downcast_ref`](StdError#method.downcast_ref) to find out which.
///
/// ```
/// use tito_core::SharedError;
/// let error = SharedError::from(std::io::Error::other("lost"));
/// assert_eq!(error.to_string(), "lost");
/// assert!(error.downcast_ref::<std::io::Error>().is_some());
/// ```
// It is no `Error` itself: else it could not be made of every error, and would stand in a chain before what it holds.
#[derive(Clone)]
pub struct SharedError(Arc<dyn StdError + Send + Sync + 'static>);

impl<E: Into<BoxError>> From<E> for SharedError {
    fn from(error: E) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl Deref for SharedError {
    type Target = dyn StdError + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
