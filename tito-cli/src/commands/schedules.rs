//! `tito schedules`.

use std::time::Duration;

use clap::{Args, Subcommand};
use tito_console::api::{Affected, Missed, Override, Recurrence, Schedule};

use super::change::{Rehearsal, destroy, make};
use super::paging::{Paging, read_whole};
use super::shown::when;
use crate::api;
use crate::failure::{Failure, Kind, Result};
use crate::output::{Table, duration, parse_duration, visible};
use crate::session::{Session, Use};

/// Periodic schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum Schedules {
    /// Lists the schedules
    List(Paging),
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
    /// Resumes a paused schedule
    Resume {
        /// The schedule
        name: String,
    },
    /// Gives a schedule other times, which outlive the next deploy
    Set(Set),
    /// Gives a schedule back its application's times
    Unset {
        /// The schedule
        name: String,
    },
    /// Publishes an event of a schedule now
    Fire {
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

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The schedule
    name: String,
    /// A cron expression, such as "0 3 * * *"
    #[arg(long, value_name = "EXPRESSION", required_unless_present = "every", conflicts_with = "every")]
    cron: Option<String>,
    /// The time zone of the expression
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// An interval of whole seconds, such as 15m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    every: Option<Duration>,
}

impl Set {
    fn recurrence(self) -> Recurrence {
        match (self.cron, self.every) {
            (Some(expression), _) => Recurrence::Cron { expression, time_zone: self.time_zone },
            (None, every) => Recurrence::Every { seconds: every.unwrap_or_default().as_secs() },
        }
    }
}

impl Schedules {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(paging) => {
                let client = session.client(Use::Read).await?;
                let schedules = paging.read::<Schedule>(&client, &api::get(["schedules"])).await?;
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
            Self::Set(set) => {
                let client = session.client(Use::Change).await?;
                let name = set.name.clone();
                let body = Override { recurrence: set.recurrence() };
                let call = api::put(["schedules", &name, "override"]).json(&body)?;
                make(session, &client, call, format!("{} has other times", visible(&name))).await
            }
            Self::Unset { name } => {
                let client = session.client(Use::Change).await?;
                let done = format!("{} has the times of its application", visible(&name));
                make(session, &client, api::delete(["schedules", &name, "override"]), done).await
            }
            Self::Fire { name } => {
                let client = session.client(Use::Change).await?;
                make(session, &client, api::post(["schedules", &name, "fire"]), format!("{} was fired", visible(&name)))
                    .await
            }
            Self::Remove { name, rehearsal } => {
                let call = api::delete(["schedules", &name]);
                let Some(answer) = destroy::<Affected>(session, call, rehearsal, "schedule(s)").await? else {
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
        ("by its application", schedule.declared.as_ref().map(recurrence).unwrap_or_default()),
        ("set", schedule.overridden_since.map(when).unwrap_or_default()),
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
