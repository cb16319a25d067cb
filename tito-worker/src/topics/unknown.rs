//! The error for a topic that there is not.

use tito_core::database::Walk;
use tito_core::{Database, Result};

use crate::error::QueueError;
use crate::keys;

/// How alike two names have to be for one to be taken for the other, mistyped: from 0 to 1.
const ALIKE: f64 = 0.8;

/// How many topics are compared.
const COMPARED: usize = 10_000;

/// The error for a topic that does not exist, with the nearest name of one that does. Reads the names of all topics.
///
/// # Errors
/// Those of the engine, in its place.
pub(crate) async fn unknown_topic(database: &Database, name: &str) -> Result<QueueError> {
    let mut walk = Walk::over(keys::topics());
    let mut nearest: Option<(f64, String)> = None;
    let mut compared = 0;
    while compared < COMPARED
        && let Some((page, _)) = walk.next(database).await?
    {
        compared += page.len();
        for known in page.iter().filter_map(|(key, _)| keys::parse_topic(key)) {
            let alike =
                strsim::normalized_damerau_levenshtein(name, &known).max(strsim::jaro_winkler(name, &known) - 0.1);
            if alike >= ALIKE && nearest.as_ref().is_none_or(|(best, _)| alike > *best) {
                nearest = Some((alike, known));
            }
        }
    }
    Ok(QueueError::UnknownTopic { topic: name.to_string(), nearest: nearest.map(|(_, name)| name) })
}
