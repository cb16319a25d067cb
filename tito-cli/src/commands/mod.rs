//! The commands, a file for each group of them.
//!
//! | file | idea |
//! |---|---|
//! | this one | which commands there are |
//! | `paging` | pages of a listing |
//! | `change` | changes: counted, confirmed, made |
//! | `task` | what an operation is to do |
//! | `shown` | events and failures, as people read them |
//! | the others | what they are called |

mod change;
mod dead;
mod engine;
mod events;
mod files;
mod groups;
mod index;
mod keep;
mod limit;
mod members;
mod migrate;
mod operations;
mod owners;
mod paging;
mod queues;
mod reactors;
mod schedules;
mod shell;
mod shown;
mod stats;
mod stores;
mod tables;
mod task;
mod top;
mod topics;
mod watch;
mod workers;

use clap::Subcommand;

use crate::failure::Result;
use crate::session::Session;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the topics, or shows one
    Topics(topics::Topics),
    /// Counts what is in queues; + after a number says that there may be more
    Stats(stats::Stats),
    /// Events: list, show, find, explain, of, caused, publish, cancel, reschedule, run
    #[command(subcommand)]
    Events(events::Events),
    /// Dead letters: list, group, redrive, purge
    #[command(subcommand)]
    Dead(dead::Dead),
    /// Schedules: list, show, pause, resume, set, unset, fire, remove
    #[command(subcommand)]
    Schedules(schedules::Schedules),
    /// Lists the fleets
    Fleets(members::Fleets),
    /// Lists the workers of a fleet
    Members(members::Members),
    /// Lists the workers
    Workers(workers::Workers),
    Retire(workers::Retire),
    /// Lists who serves the partitions of a queue
    Leases(members::Leases),
    /// Groups of a topic: list, add, remove
    #[command(subcommand)]
    Groups(groups::Groups),
    /// Changes the number of a topic's partitions
    Resize(topics::Resize),
    Limit(limit::Limit),
    Keep(keep::Keep),
    /// Pauses a queue: its workers hand out nothing
    Pause(queues::Pause),
    /// Resumes a paused queue, or everything that a restore has paused
    Resume(queues::Resume),
    /// Deletes all events of a queue that are not done
    Purge(queues::Purge),
    /// Lists finished events, if the topic keeps history
    History(queues::History),
    /// Hands out finished events again, from a queue's history
    Replay(queues::Replay),
    /// Operations: list, show, start, stop, wait
    #[command(subcommand)]
    Operations(operations::Operations),
    Watch(watch::Watch),
    Tables(tables::Tables),
    Migrate(migrate::Migrate),
    /// Indexes of tables: list, reindex, drop
    #[command(subcommand)]
    Index(index::Index),
    /// Lists what belongs to an owner
    Owned(owners::Owned),
    /// Erases everything that belongs to an owner
    Erase(owners::Erase),
    /// Event stores: list, show, events, tail, projections, rebuild
    #[command(subcommand)]
    Stores(stores::Stores),
    /// Reactors of an event store: list, replay
    #[command(subcommand)]
    Reactors(reactors::Reactors),
    /// The engine: sizes, compact
    #[command(subcommand)]
    Engine(engine::Engine),
    Backup(files::Backup),
    Restore(files::Restore),
    Verify(files::Verify),
    Copy(files::Copy),
    Top(top::Top),
    Completions(shell::Completions),
    Man(shell::Man),
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Topics(command) => command.run(session).await,
            Self::Stats(command) => command.run(session).await,
            Self::Events(command) => command.run(session).await,
            Self::Dead(command) => command.run(session).await,
            Self::Schedules(command) => command.run(session).await,
            Self::Fleets(command) => command.run(session).await,
            Self::Members(command) => command.run(session).await,
            Self::Workers(command) => command.run(session).await,
            Self::Retire(command) => command.run(session).await,
            Self::Limit(command) => command.run(session).await,
            Self::Keep(command) => command.run(session).await,
            Self::Leases(command) => command.run(session).await,
            Self::Groups(command) => command.run(session).await,
            Self::Resize(command) => command.run(session).await,
            Self::Pause(command) => command.run(session).await,
            Self::Resume(command) => command.run(session).await,
            Self::Purge(command) => command.run(session).await,
            Self::History(command) => command.run(session).await,
            Self::Replay(command) => command.run(session).await,
            Self::Operations(command) => command.run(session).await,
            Self::Watch(command) => command.run(session).await,
            Self::Tables(command) => command.run(session).await,
            Self::Migrate(command) => command.run(session).await,
            Self::Index(command) => command.run(session).await,
            Self::Owned(command) => command.run(session).await,
            Self::Erase(command) => command.run(session).await,
            Self::Stores(command) => command.run(session).await,
            Self::Reactors(command) => command.run(session).await,
            Self::Engine(command) => command.run(session).await,
            Self::Backup(command) => command.run(session).await,
            Self::Restore(command) => command.run(session).await,
            Self::Verify(command) => command.run(session).await,
            Self::Copy(command) => command.run(session).await,
            Self::Top(command) => command.run(session).await,
            Self::Completions(command) => command.run(session),
            Self::Man(command) => command.run(session),
        }
    }
}
