//! `tito operations`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use tito_console::api::{Affected, NewOperation, Operation, Rate};
use uuid::Uuid;

use super::change::destroy;
use super::limit::parse_rate;
use super::paging::Paging;
use super::shown::when;
use super::task::Task;
use crate::api;
use crate::client::Answer;
use crate::failure::{Failure, Kind, Result};
use crate::output::{Output, Table, parse_duration, visible};
use crate::session::{Session, Use};

/// How often one that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Long tasks: workers carry them out step by step, at a given rate, until they are done or stopped.
#[derive(Debug, Subcommand)]
pub(crate) enum Operations {
    /// Lists the operations, latest first; ended ones are listed for a week
    List(Paging),
    /// Shows an operation, and how far it is
    Show {
        /// The operation's id
        operation: Uuid,
    },
    /// Begins an operation: redrive, purge-dead, purge, replay, reindex, rebuild, resume, named
    Start(Start),
    /// Stops an operation; what it has done stays done
    Stop {
        /// The operation's id
        operation: Uuid,
    },
    /// Waits until an operation has ended; exit code 1 if it was stopped or failed
    Wait(Wait),
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(subcommand)]
    task: Task,
    /// How many events in a time, such as 5/s, 100/m, 1000/1h; by default as fast as the workers can
    #[arg(long, value_name = "RATE", value_parser = parse_rate, global = true)]
    rate: Option<Rate>,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The operation's id
    operation: Uuid,
    /// For how long; by default until its end
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    time: Option<Duration>,
}

impl Operations {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(paging) => {
                let client = session.client(Use::Read).await?;
                let operations = paging.read::<Operation>(&client, &api::get(["operations"])).await?;
                operations.tell(&session.output, table, "There is no operation.")
            }
            Self::Show { operation } => {
                let answer = look(session, operation).await?;
                session.output.answer(&answer.raw, |output| show(output, &answer.value))
            }
            Self::Start(start) => start.run(session).await,
            Self::Stop { operation } => {
                let client = session.client(Use::Change).await?;
                let call = api::post(["operations", &operation.to_string(), "stop"]);
                let answer: Answer<Affected> = client.get(&session.change(call)).await?;
                let done = if answer.value.affected == 0 { "had ended before" } else { "is stopped" };
                session.output.answer(&answer.raw, |output| output.line(format!("{operation} {done}")))
            }
            Self::Wait(wait) => wait.run(session).await,
        }
    }
}

async fn look(session: &mut Session, operation: Uuid) -> Result<Answer<Operation>> {
    let client = session.client(Use::Read).await?;
    client.get(&api::get(["operations", &operation.to_string()])).await
}

impl Start {
    async fn run(self, session: &mut Session) -> Result<()> {
        let body = NewOperation { task: self.task.json()?, rate: self.rate };
        let call = api::post(["operations"]).json(&body)?;
        let answer: Answer<Operation> = match self.task.affects() {
            Some((what, rehearsal)) if self.task.destroys() || rehearsal.dry_run => {
                let Some(answer) = destroy(session, call, rehearsal, &what).await? else { return Ok(()) };
                answer
            }
            _ => {
                let client = session.client(Use::Change).await?;
                client.get(&session.change(call)).await?
            }
        };
        session.output.answer(&answer.raw, |output| {
            let Operation { id, at_least, .. } = &answer.value;
            output.line(format!("{id} is begun: {}, of at least {at_least}", visible(&what(&answer.value))))
        })
    }
}

impl Wait {
    async fn run(self, session: &mut Session) -> Result<()> {
        let deadline = self.time.map(|time| tokio::time::Instant::now() + time);
        let answer = loop {
            let answer = look(session, self.operation).await?;
            if answer.value.ended_at.is_some() {
                break answer;
            }
            // The directory of a database that nobody has open is for the application whose workers do it.
            session.close_opened().await;
            if deadline.is_some_and(|deadline| tokio::time::Instant::now() + LOOK > deadline) {
                let Operation { state, done, .. } = &answer.value;
                let message = format!("{} is {}, {done} are dealt with", self.operation, visible(state));
                return Err(Failure::new(Kind::Unavailable, message));
            }
            tokio::time::sleep(LOOK).await;
        };
        session.output.answer(&answer.raw, |output| show(output, &answer.value))?;
        let Operation { id, state, failure, .. } = &answer.value;
        if state == "done" {
            return Ok(());
        }
        let why = failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
        Err(Failure::new(Kind::Failed, format!("{id} is {state}{why}")))
    }
}

/// What it does, in a few words: `redrive mail`.
fn what(operation: &Operation) -> String {
    let text = |name: &str| operation.task.get(name).and_then(Value::as_str);
    let of: Vec<_> = match ["queue", "from", "name"].into_iter().find_map(text) {
        Some(of) => vec![of],
        None => ["table", "index", "store", "projection"].into_iter().filter_map(text).collect(),
    };
    let of = of.join(" ");
    format!("{} {of}", text("kind").unwrap_or("what a later version knows").replace('_', " ")).trim_end().to_string()
}

fn show(output: &Output, operation: &Operation) -> Result<()> {
    let rate = operation.rate.map(|rate| format!("{} in {} s", rate.events, rate.seconds));
    output.fields([
        ("id", operation.id.to_string()),
        ("what", what(operation)),
        ("task", operation.task.to_string()),
        ("state", operation.state.clone()),
        ("failure", operation.failure.clone().unwrap_or_default()),
        ("done", operation.done.to_string()),
        ("searched", format!("{} of at least {}", operation.searched, operation.at_least)),
        ("passed over", operation.skipped.to_string()),
        ("rate", rate.unwrap_or_default()),
        ("by", operation.who.clone()),
        ("why", operation.why.clone()),
        ("begun", when(operation.started_at)),
        ("changed", when(operation.changed_at)),
        ("ended", operation.ended_at.map(when).unwrap_or_default()),
    ])
}

fn table(operations: &[Operation]) -> Table {
    let mut table = Table::new(["OPERATION", "WHAT", "STATE", "#DONE", "#SEARCHED", "#AT LEAST", "BY", "BEGUN", "WHY"]);
    for operation in operations {
        table.row([
            operation.id.to_string(),
            what(operation),
            operation.state.clone(),
            operation.done.to_string(),
            operation.searched.to_string(),
            operation.at_least.to_string(),
            operation.who.clone(),
            when(operation.started_at),
            operation.why.clone(),
        ]);
    }
    table
}
