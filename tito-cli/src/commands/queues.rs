//! Queues as a whole: `tito pause`, `resume`, `purge`, `history`, `replay`.

use chrono::{DateTime, Utc};
use clap::Args;
use tito_console::api::{Affected, DoneEvent, Replayed};

use super::change::{Rehearsal, destroy, make, number_of};
use super::paging::Paging;
use super::shown::when;
use crate::api;
use crate::client::Answer;
use crate::failure::Result;
use crate::output::{Table, parse_moment, visible};
use crate::session::{Session, Use};

/// Pauses a queue.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    /// Until this time, when a worker resumes it: as 2026-03-01T08:00:00Z, a day, +2h
    #[arg(long, value_name = "TIME", value_parser = parse_moment, allow_hyphen_values = true)]
    until: Option<DateTime<Utc>>,
}

impl Pause {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Change).await?;
        let body = tito_console::api::Pause { until: self.until.map(|until| until.timestamp()) };
        let call = api::post(["queues", &self.queue, "pause"]).json(&body)?;
        make(session, &client, call, format!("{} is paused", visible(&self.queue))).await
    }
}

/// Resumes a queue.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The queue: TOPIC or TOPIC@GROUP
    #[arg(required_unless_present = "restored", conflicts_with = "restored")]
    queue: Option<String>,
    /// All queues and schedules that a restore has paused
    #[arg(long)]
    restored: bool,
}

impl Resume {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        if let Some(queue) = self.queue {
            let client = session.client(Use::Change).await?;
            let call = api::post(["queues", &queue, "resume"]);
            return make(session, &client, call, format!("{} goes on", visible(&queue))).await;
        }
        let client = session.client(Use::Change).await?;
        let answer: Answer<Affected> = client.get(&session.change(api::post(["restore", "resume"]))).await?;
        let affected = answer.value.affected;
        session.output.answer(&answer.raw, |output| output.line(format!("{affected} queues and schedules go on")))
    }
}

/// Deletes all events of a queue that are not done.
#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

impl Purge {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let call = api::post(["queues", &self.queue, "purge"]);
        let what = format!("event(s) of {}, which are deleted", visible(&self.queue));
        let Some(answer) = destroy::<Affected>(session, call, self.rehearsal, &what).await? else {
            return Ok(());
        };
        session
            .output
            .answer(&answer.raw, |output| output.line(format!("{} deleted", number_of(&answer.value, "event(s)"))))
    }
}

/// Of a queue, by when it was done.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    paging: Paging,
}

/// A span of time.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Times {
    /// From this time on: as 2026-03-01T08:00:00Z, a day, -2h, now, today, yesterday
    #[arg(long, value_name = "TIME", value_parser = parse_moment, allow_hyphen_values = true)]
    pub(crate) from: Option<DateTime<Utc>>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = parse_moment, allow_hyphen_values = true)]
    pub(crate) before: Option<DateTime<Utc>>,
}

impl Times {
    pub(crate) fn seconds(self) -> (Option<i64>, Option<i64>) {
        let second = |time: DateTime<Utc>| time.timestamp();
        (self.from.map(second), self.before.map(second))
    }
}

impl History {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let (from, before) = self.times.seconds();
        let call = api::get(["queues", &self.queue, "history"]).query_if("from", from).query_if("before", before);
        let events = self.paging.read::<DoneEvent>(&client, &call).await?;
        events.tell(&session.output, done_table, "Nothing that was done is kept of that time.")
    }
}

fn done_table(events: &[DoneEvent]) -> Table {
    let mut table = Table::new(["DONE", "ID", "ENTITY", "ACTION", "#ATTEMPTS"]);
    for done in events {
        let (id, entity, action, attempts) = match &done.event {
            Some(event) => {
                let attempts = (event.failed_attempts + 1).to_string();
                (event.id.to_string(), event.entity.clone(), event.action.clone(), attempts)
            }
            None => (done.key.clone(), "no event".to_string(), done.bytes.clone().unwrap_or_default(), String::new()),
        };
        table.row([when(done.done_at), id, entity, action, attempts]);
    }
    table
}

/// Hands out again events that were done in a span of time.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The queue with the history: TOPIC or TOPIC@GROUP
    queue: String,
    /// The queue that is to handle it again, of the same topic; by default the one with the history
    #[arg(long, value_name = "QUEUE")]
    into: Option<String>,
    #[command(flatten)]
    times: Times,
}

impl Replay {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Change).await?;
        let into = self.into.as_deref().unwrap_or(&self.queue);
        let (from, before) = self.times.seconds();
        let body = tito_console::api::Replay { into: into.to_string(), from, before };
        let call = api::post(["queues", &self.queue, "replay"]).json(&body)?;
        let answer: Answer<Replayed> = client.get(&session.change(call)).await?;
        session.output.answer(&answer.raw, |output| {
            let Replayed { events, skipped } = answer.value;
            output.line(format!("{events} events are due again in {}; {skipped} were passed over", visible(into)))
        })
    }
}
