//! Events: what is stored of them, how they are written, and the topics that they belong to.

mod config;
mod due;
mod id;
mod record;
mod topic;
mod write;

pub use config::TitoEventConfig;
pub use due::DueTime;
pub use id::event_id;
pub use record::{FailedAttempt, TitoEvent};
pub use topic::{DEFAULT_PARTITIONS, Topic, TopicCache};
pub use write::{NewEvent, write_event};
