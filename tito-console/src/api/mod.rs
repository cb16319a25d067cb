//! What goes over the wire, for both sides: the server writes these types and clients read them, and the other way round.
//!
//! Times are Unix seconds, or milliseconds where the name says so. Readers ignore members that a later version adds,
//! and members that may be missing have a default.
//!
//! | file | idea |
//! |---|---|
//! | `error` | what every refusal looks like |
//! | `page` | pages of a listing, and keys as text |
//! | `change` | what goes with every change: why, and whether it is a rehearsal |
//! | `event`, `topic`, `dead`, `schedule`, `member`, `owner`, `operation`, `store`, `engine` | what there is of each |
//! | `watch` | what workers do, as it happens |
//! | `explain` | why an event is not handled, what it did, and what dead letters have in common |

mod change;
mod dead;
mod engine;
mod error;
mod event;
mod explain;
mod member;
mod operation;
mod owner;
mod page;
mod schedule;
mod store;
mod topic;
mod watch;

pub use change::{Affected, Change, Role};
pub use dead::{DeadLetter, DeadQuery, Letters, Redriven};
pub use engine::{Check, Difference, Engine, Health, PaceQuery, Sizes, Table, Verified};
pub use error::{Code, ErrorBody, Problem};
pub use event::{
    Completion, DoneEvent, Due, Event, EventAt, FailedAttempt, FoundEvent, FoundIn, HistoryQuery, PendingEvent,
    PendingState, PublishEvent, Published, Replay, Replayed, Step,
};
pub use explain::{DeadGroup, DeadGroups, EntityQuery, Explanation, Found, OfEntity, Reason, SearchQuery};
pub use member::{Fleet, Lease, Member, Running, Worker};
pub use operation::{Chosen, NewOperation, Operation, Task};
pub use owner::OwnerCounts;
pub use page::{Page, PageQuery, decode_key, encode_key};
pub use schedule::{Missed, Override, Recurrence, Schedule};
pub use store::{Projection, ProjectionFailure, Reactor, ReplayFrom, ReplayReactor, Store, StoreEvent, StoreQuery};
pub use topic::{
    Backlog, Counts, Group, GroupStart, Kept, KeptLetters, Limits, NewGroup, PartitionStats, Pause, QueueStats, Rate,
    Resize, StatsQuery, Topic,
};
pub use watch::{Dropped, Happened, WatchQuery, Watched};
