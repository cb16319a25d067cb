//! What is done to topics: groups, the number of partitions, pauses, history.
//!
//! | file | idea |
//! |---|---|
//! | `existing` | tells queues that there are from those that there are not |
//! | `groups` | registers groups and lists them |
//! | `copy` | copies earlier events into a new group |
//! | `limits` | sets how fast a queue is handled |
//! | `own_queue` | whether a topic has a queue of its own |
//! | `pause` | pauses and resumes queues |
//! | `remove` | removes a group with all that it has |
//! | `resize` | changes the number of partitions |
//! | `retention` | sets how much of history and dead letters is kept |
//! | `settings` | lists topics |
//! | `unfinished` | finishes what another process began |
//! | `unknown` | the error for a topic that there is not, with the nearest name |

mod copy;
mod existing;
mod groups;
mod limits;
mod own_queue;
mod pause;
mod remove;
mod resize;
mod retention;
mod settings;
mod unfinished;
mod unknown;

use tito_core::event::{CACHED, Group, Topic};
use tito_core::{Database, Result};

use crate::error::QueueError;

pub(crate) use self::existing::{cached_topic, change_topic, existing_topic};
pub(crate) use self::pause::{end_pause, pause_ends};
pub(crate) use self::unknown::unknown_topic;
pub use groups::GroupStart;
pub use resize::Resized;

/// The group of a topic, where there is one in question.
pub(crate) fn check_group<'topic>(
    topic: &'topic Topic,
    topic_name: &str,
    group: Option<&str>,
) -> Result<Option<&'topic Group>, QueueError> {
    let Some(group) = group else { return Ok(None) };
    topic.groups.get(group).map(Some).ok_or_else(|| unknown_group(topic_name, group))
}

/// The topic as it is stored now.
pub(crate) async fn read_topic(database: &Database, topic_name: &str) -> Result<Topic> {
    let name = topic_name.to_string();
    Box::pin(database.transaction(|tx| async move { Topic::read(&tx, &name).await })).await
}

fn unknown_group(topic_name: &str, group: &str) -> QueueError {
    QueueError::UnknownGroup { topic: topic_name.to_string(), group: group.to_string() }
}

/// Whether all writers are sure to know what was changed in a transaction that began at this second.
async fn is_settled(database: &Database, since: i64) -> Result<bool> {
    // Time that was set says nothing; settling takes none where it can be.
    if database.is_only_writer() {
        return Ok(false);
    }
    // The change was committed within the age of its transaction; then writers went by what they had read, in
    // transactions which in turn have an age.
    let millis = 2 * database.max_transaction_age_millis() + CACHED.as_millis() as u64;
    let now = database.now().await?.seconds();
    Ok(now.saturating_sub(since).saturating_sub(2) > (millis / 1000) as i64)
}
