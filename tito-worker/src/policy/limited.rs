//! Which limit keeps handlers from being started.

use serde::{Deserialize, Serialize};

/// A limit of a queue, in one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitedBy {
    /// So many in a time.
    Rate,
    /// So many at once.
    Concurrency,
    /// One that this release does not know.
    #[serde(other)]
    Other,
}
