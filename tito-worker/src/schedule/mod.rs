//! Periodic schedules: events that are published again and again, by the database's time.
//!
//! | file | idea |
//! |---|---|
//! | `definition` | what a program says of a schedule |
//! | `recurrence` | how a schedule recurs, as it is stored and shown |
//! | `timetable` | which seconds that comes to |
//! | `missed` | which firings are published when some were missed |
//! | `stored` | the value under a schedule's key |
//! | `store` | put, list, pause, resume, remove |
//! | `by_hand` | other times than the program's, a firing out of turn |
//! | `firing` | one round over all schedules |
//! | `task` | the loop that a worker runs |

mod by_hand;
mod definition;
mod firing;
mod missed;
mod recurrence;
mod store;
mod stored;
mod task;
mod timetable;

pub use definition::Schedule;
pub use missed::Missed;
pub use recurrence::Recurrence;
pub use store::{ScheduleInfo, ScheduleOverride};

pub(crate) use firing::Rounds;
pub(crate) use store::{owner_of_schedule, resumed_from_restore};
pub(crate) use task::run;
