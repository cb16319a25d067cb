//! Events: what is stored of them, how they are written, and the topics that they belong to.

mod cause;
mod config;
mod due;
mod event_row;
mod head;
mod id;
mod limits;
mod owner;
mod published;
mod queue_name;
mod record;
mod reference;
mod settle;
mod topic;
mod topic_access;
mod topic_cache;
mod write;

pub use cause::Cause;
pub use config::TitoEventConfig;
pub use due::DueTime;
pub use event_row::EventRow;
pub use head::EventHead;
pub use id::{event_id, started_at};
pub use limits::{QueueLimits, Rate};
pub use owner::{check_owner, note_owner, owner_of};
pub use published::{PUBLISHED, published_by_minute};
pub use queue_name::{check_group_name, check_queue_name, queue_name, topic_of};
pub use record::{Completion, DoneStep, FailedAttempt, TitoEvent};
pub use reference::EventReference;
pub use settle::settle_topics;
pub(crate) use settle::wait_by_the_engines_time;
pub use topic::{DEFAULT_PARTITIONS, Group, Topic};
pub use topic_access::topic_channel;
pub use topic_cache::{CACHED, TopicCache};
pub use write::{OutboxEvent, check_event_size, most_event_bytes, write_event};
