//! Events: what is stored of them, how they are written, and the topics that they belong to.

mod config;
mod due;
mod event_row;
mod head;
mod id;
mod owner;
mod published;
mod queue_name;
mod record;
mod reference;
mod topic;
mod topic_cache;
mod unknown_topic;
mod write;

pub use config::TitoEventConfig;
pub use due::DueTime;
pub use event_row::EventRow;
pub use head::EventHead;
pub use id::{event_id, started_at};
pub use owner::{check_owner, note_owner, owner_of};
pub use published::PUBLISHED;
pub use queue_name::{check_group_name, check_queue_name, queue_name, topic_of};
pub use record::{DoneStep, FailedAttempt, TitoEvent};
pub use reference::EventReference;
pub use topic::{DEFAULT_PARTITIONS, Group, Topic, topic_channel};
pub(crate) use topic_cache::wait_by_the_engines_time;
pub use topic_cache::{CACHED, TopicCache, settle_topics};
pub use unknown_topic::unknown_topic;
pub use write::{NewEvent, check_event_size, write_event};
