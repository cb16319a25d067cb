//! `tito fleets`, `tito members`, `tito leases`.

use std::time::Duration;

use clap::Args;
use tito_console::api::{Fleet, Lease, Member};

use super::paging::Paging;
use crate::api;
use crate::failure::Result;
use crate::output::{Table, duration, moment_of_seconds};
use crate::session::{Session, Use};

/// Of all fleets: how many work, and what they serve.
#[derive(Debug, Args)]
pub(crate) struct Fleets {
    #[command(flatten)]
    paging: Paging,
}

impl Fleets {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let fleets = self.paging.read::<Fleet>(&client, &api::get(["fleets"])).await?;
        fleets.tell(&session.output, fleets_table, "There is no fleet.")
    }
}

fn fleets_table(fleets: &[Fleet]) -> Table {
    let mut table = Table::new(["FLEET", "#LIVE", "#DEAD", "QUEUES"]);
    for fleet in fleets {
        let queues: Vec<&str> = fleet.queues.iter().map(String::as_str).collect();
        table.row([fleet.name.clone(), fleet.live.to_string(), fleet.dead.to_string(), queues.join(" ")]);
    }
    table
}

/// Of a fleet: who works, since when, and what they serve.
#[derive(Debug, Args)]
pub(crate) struct Members {
    /// The fleet
    fleet: String,
    #[command(flatten)]
    paging: Paging,
}

impl Members {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let members = self.paging.read::<Member>(&client, &api::get(["fleets", &self.fleet, "members"])).await?;
        members.tell(&session.output, members_table, "The fleet has no member.")
    }
}

fn members_table(members: &[Member]) -> Table {
    let mut table = Table::new(["MEMBER", "NAME", "STATE", "STARTED", "HEARTBEAT", "#IN FLIGHT", "QUEUES"]);
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|member| (member.started_millis, member.id));
    for member in members {
        let state = match (member.is_live, member.queues.is_empty()) {
            (false, _) => "dead",
            (true, true) => "leaving",
            (true, false) => "live",
        };
        let queues: Vec<&str> = member.queues.iter().map(String::as_str).collect();
        table.row([
            member.id.to_string(),
            member.name.clone().unwrap_or_default(),
            state.to_string(),
            moment_of_seconds(member.started_millis.div_euclid(1_000)),
            format!("{} ago", duration(Duration::from_millis(member.heartbeat_age_millis))),
            member.in_flight.values().sum::<u64>().to_string(),
            queues.join(" "),
        ]);
    }
    table
}

/// Of a queue: who serves which partition.
#[derive(Debug, Args)]
pub(crate) struct Leases {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    #[command(flatten)]
    paging: Paging,
}

impl Leases {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let leases = self.paging.read::<Lease>(&client, &api::get(["queues", &self.queue, "leases"])).await?;
        leases.tell(&session.output, leases_table, "No partition of the queue was ever claimed.")
    }
}

fn leases_table(leases: &[Lease]) -> Table {
    let mut table = Table::new(["#PARTITION", "MEMBER", "FLEET", "#EPOCH"]);
    for lease in leases {
        let member = lease.member.map_or_else(|| "nobody".to_string(), |member| member.to_string());
        let fleet = lease.fleet.clone().unwrap_or_default();
        table.row([lease.partition.to_string(), member, fleet, lease.epoch.to_string()]);
    }
    table
}
