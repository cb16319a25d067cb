//! `tito workers`, `tito retire`.

use std::time::Duration;

use clap::Args;
use tito_console::api::Worker;

use super::change::make;
use super::paging::Paging;
use crate::api;
use crate::failure::Result;
use crate::output::{Table, duration, moment_of_seconds};
use crate::session::{Session, Use};

/// Of all fleets, and those without one: version, host, since when, what they serve.
#[derive(Debug, Args)]
pub(crate) struct Workers {
    #[command(flatten)]
    paging: Paging,
}

impl Workers {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let workers = self.paging.read::<Worker>(&client, &api::get(["workers"])).await?;
        workers.tell(&session.output, table, "There is no worker.")
    }
}

fn table(workers: &[Worker]) -> Table {
    let mut table =
        Table::new(["WORKER", "NAME", "VERSION", "HOST", "STATE", "STARTED", "HEARTBEAT", "#IN FLIGHT", "QUEUES"]);
    let mut workers: Vec<_> = workers.iter().collect();
    workers.sort_by_key(|worker| (worker.started_millis, worker.id));
    for worker in workers {
        let state = match (worker.is_live, worker.is_retiring) {
            (false, _) => "dead",
            (true, true) => "leaving",
            (true, false) => "live",
        };
        let queues: Vec<&str> = worker.queues.iter().map(String::as_str).collect();
        let process = worker.process_id.map(|id| format!(" ({id})")).unwrap_or_default();
        table.row([
            worker.id.to_string(),
            worker.name.clone().unwrap_or_default(),
            worker.version.clone().unwrap_or_default(),
            worker.host.clone().map(|host| host + &process).unwrap_or_default(),
            state.to_string(),
            moment_of_seconds(worker.started_millis.div_euclid(1_000)),
            format!("{} ago", duration(Duration::from_millis(worker.heartbeat_age_millis))),
            worker.in_flight.values().sum::<u64>().to_string(),
            queues.join(" "),
        ]);
    }
    table
}

/// Makes a worker finish what it has in hand, and leave.
#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// The worker's id
    worker: uuid::Uuid,
}

impl Retire {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Change).await?;
        let worker = self.worker.to_string();
        make(session, &client, api::post(["workers", &worker, "retire"]), format!("{worker} leaves")).await
    }
}
