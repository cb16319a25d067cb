//! Which limit keeps handlers from being started.

use serde::{Deserialize, Serialize};

/// A limit of a queue, in one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitedBy {
    /// Its rate.
    Rate,
    /// How many handlers run at once.
    Concurrency,
    /// A limit that this release does not know.
    #[serde(other)]
    Other,
}
