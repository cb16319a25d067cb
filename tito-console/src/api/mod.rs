//! What goes over the wire, for both sides: the server writes these types and clients read them, and the other way round.
//!
//! Times are Unix seconds, or milliseconds where the name says so. Members that a later version adds are passed over by
//! whoever does not know them, and those that may be missing have a default.
//!
//! | file | idea |
//! |---|---|
//! | `error` | what every refusal looks like |
//! | `page` | pages of a listing, and keys as text |
//! | `change` | what goes with every change: why, and whether it is a rehearsal |
//! | `event`, `topic`, `dead`, `schedule`, `member` | what there is of each |

mod change;
mod dead;
mod error;
mod event;
mod member;
mod page;
mod schedule;
mod topic;

pub use change::{Affected, Change, Role};
pub use dead::{DeadLetter, DeadQuery, Letters, Redriven};
pub use error::{Code, ErrorBody, Problem};
pub use event::{
    DoneEvent, Due, Event, EventAt, FailedAttempt, FoundEvent, FoundIn, HistoryQuery, PendingEvent, PendingState,
    PublishEvent, Published, Replay, Replayed, Step,
};
pub use member::{Lease, Member};
pub use page::{Page, PageQuery, decode_key, encode_key};
pub use schedule::{Missed, Recurrence, Schedule};
pub use topic::{Counts, Group, GroupStart, NewGroup, PartitionStats, QueueStats, Resize, StatsQuery, Topic};
