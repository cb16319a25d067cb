//! `tito schedules`.

use std::time::Duration;

use clap::Subcommand;
use tito_console::api::{Affected, Missed, Recurrence, Schedule};

use super::change::{Rehearsal, destroy, make};
use super::paging::read_whole;
use super::shown::when;
use crate::api;
use crate::failure::{Failure, Kind, Result};
use crate::output::{Table, duration, visible};
use crate::session::{Session, Use};

/// Periodic schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum Schedules {
    /// Lists the schedules
    List,
    /// Shows a schedule
    Show {
        /// The schedule
        name: String,
    },
    /// Pauses a schedule
    Pause {
        /// The schedule
        name: String,
    },
    /// Lets a paused schedule go on
    Resume {
        /// The schedule
        name: String,
    },
    /// Removes a schedule
    Remove {
        /// The schedule
        name: String,
        #[command(flatten)]
        rehearsal: Rehearsal,
    },
}

impl Schedules {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List => {
                let client = session.client(Use::Read).await?;
                let schedules = read_whole::<Schedule>(&client, &api::get(["schedules"])).await?;
                schedules.tell(&session.output, table, "There is no schedule.")
            }
            Self::Show { name } => {
                let client = session.client(Use::Read).await?;
                let mut schedules = read_whole::<Schedule>(&client, &api::get(["schedules"])).await?;
                schedules.keep(|schedule| schedule.name == name);
                match schedules.one() {
                    Some((raw, schedule)) => session.output.answer(&raw, |output| output.fields(fields(schedule))),
                    None => Err(Failure::new(Kind::NotFound, format!("there is no schedule {name:?}"))),
                }
            }
            Self::Pause { name } => change(session, &name, "pause", "is paused").await,
            Self::Resume { name } => change(session, &name, "resume", "goes on").await,
            Self::Remove { name, rehearsal } => {
                let client = session.client(rehearsal.purpose()).await?;
                let call = api::delete(["schedules", &name]);
                let Some(answer) = destroy::<Affected>(session, &client, call, rehearsal, "schedule(s)").await? else {
                    return Ok(());
                };
                session.output.answer(&answer.raw, |output| output.line(format!("{} was removed", visible(&name))))
            }
        }
    }
}

async fn change(session: &mut Session, name: &str, verb: &str, done: &str) -> Result<()> {
    let client = session.client(Use::Change).await?;
    make(session, &client, api::post(["schedules", name, verb]), format!("{} {done}", visible(name))).await
}

fn table(schedules: &[Schedule]) -> Table {
    let mut table = Table::new(["SCHEDULE", "RECURS", "STATE", "NEXT", "LAST", "TYPE", "ENTITY"]);
    for schedule in schedules {
        let state = if schedule.is_paused { "paused" } else { "running" };
        table.row([
            schedule.name.clone(),
            recurrence(&schedule.recurrence),
            state.to_string(),
            schedule.next.map(when).unwrap_or_default(),
            schedule.last.map(when).unwrap_or_default(),
            schedule.event_type.clone(),
            schedule.entity.clone(),
        ]);
    }
    table
}

fn fields(schedule: &Schedule) -> Vec<(&'static str, String)> {
    let missed = match schedule.missed {
        Missed::Skip => "passed over",
        Missed::Latest => "the last one is published",
        Missed::All => "each one is published",
        _ => "as a later version says",
    };
    vec![
        ("schedule", schedule.name.clone()),
        ("recurs", recurrence(&schedule.recurrence)),
        ("state", if schedule.is_paused { "paused" } else { "running" }.to_string()),
        ("starts", when(schedule.starts_at)),
        ("next", schedule.next.map(when).unwrap_or_default()),
        ("last", schedule.last.map(when).unwrap_or_default()),
        ("missed firings", missed.to_string()),
        ("passed over", schedule.passed_over.to_string()),
        ("type", schedule.event_type.clone()),
        ("entity", schedule.entity.clone()),
        ("action", schedule.action.clone()),
        ("owner", schedule.owner.clone().unwrap_or_default()),
    ]
}

fn recurrence(recurrence: &Recurrence) -> String {
    match recurrence {
        Recurrence::Cron { expression, time_zone } => format!("{expression} {time_zone}"),
        Recurrence::Every { seconds } => format!("every {}", duration(Duration::from_secs(*seconds))),
        Recurrence::Other(text) => text.clone(),
        _ => "as a later version says".to_string(),
    }
}
