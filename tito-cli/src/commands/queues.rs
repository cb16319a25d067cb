//! Queues as a whole: `tito stats`, `pause`, `resume`, `purge`, `history`, `replay`.

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use tito_console::api::{Affected, DoneEvent, QueueStats, Replayed, Topic};

use super::change::{Rehearsal, destroy, make, number_of};
use super::paging::{Paging, read_whole};
use super::shown::when;
use crate::api;
use crate::client::{Answer, Client};
use crate::failure::Result;
use crate::output::{Table, duration, parse_moment, visible};
use crate::session::{Session, Use};

/// How many topics are counted where none is named.
const MOST_TOPICS: u32 = 1_000;

/// Of the queues named, or of all.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The queues: TOPIC or TOPIC@GROUP; all of them if none is named
    queues: Vec<String>,
    /// How many events of a kind are counted in each partition
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: Option<u32>,
    /// Each partition by itself
    #[arg(long)]
    partitions: bool,
}

#[derive(Serialize)]
struct Queues<'a> {
    items: Vec<&'a RawValue>,
}

impl Stats {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let queues = if self.queues.is_empty() { all_queues(&client).await? } else { self.queues };
        let stats = count(&client, &queues, self.limit).await?;
        let items = stats.iter().map(|stats| stats.raw.as_ref()).collect();
        session.output.answer(&Queues { items }, |output| {
            if self.partitions {
                return output.table(&partitions_table(&stats), "There is no topic.");
            }
            output.table(&table(stats.iter().map(|stats| &stats.value)), "There is no topic.")
        })
    }
}

/// The names of all queues that there are: of topics, and of their groups.
pub(crate) async fn all_queues(client: &Client) -> Result<Vec<String>> {
    let call = api::get(["topics"]).query("limit", MOST_TOPICS);
    let topics = read_whole::<Topic>(client, &call).await?;
    let queues = topics.items.into_iter().flat_map(|topic| {
        let own = (!topic.groups_only).then_some(topic.name);
        own.into_iter().chain(topic.groups.into_values().map(|group| group.queue))
    });
    Ok(queues.collect())
}

/// What is in each of these queues.
pub(crate) async fn count(client: &Client, queues: &[String], limit: Option<u32>) -> Result<Vec<Answer<QueueStats>>> {
    let mut stats = Vec::with_capacity(queues.len());
    for queue in queues {
        let call = api::get(["queues", queue, "stats"]).query_if("limit", limit);
        stats.push(client.get::<QueueStats>(&call).await?);
    }
    Ok(stats)
}

pub(crate) fn table<'a>(stats: impl IntoIterator<Item = &'a QueueStats>) -> Table {
    let mut table =
        Table::new(["QUEUE", "STATE", "#DUE", "#SCHEDULED", "#RETRYING", "#IN FLIGHT", "#DEAD", "#DONE", "OLDEST DUE"]);
    for queue in stats {
        // Each of the numbers may be more, where counting ended.
        let number = |number: u64| if queue.total.is_capped { format!("{number}+") } else { number.to_string() };
        let state = match (queue.is_paused, queue.is_published_to) {
            (true, _) => "paused",
            (false, true) => "running",
            (false, false) => "not published to",
        };
        let due = format!("{}{}", queue.backlog.count, if queue.backlog.at_least { "+" } else { "" });
        let oldest = queue.backlog.oldest_due_seconds;
        table.row([
            queue.queue.clone(),
            state.to_string(),
            due,
            number(queue.total.scheduled),
            number(queue.total.retrying),
            queue.in_flight.to_string(),
            number(queue.total.dead),
            number(queue.total.done),
            oldest.map(|age| duration(std::time::Duration::from_secs(age))).unwrap_or_default(),
        ]);
    }
    table
}

fn partitions_table(stats: &[Answer<QueueStats>]) -> Table {
    let mut table =
        Table::new(["QUEUE", "#PARTITION", "#DUE", "#SCHEDULED", "#RETRYING", "#MALFORMED", "#DEAD", "#DONE"]);
    for queue in stats {
        for partition in &queue.value.partitions {
            let counts = partition.counts;
            let number = |number: u64| if counts.is_capped { format!("{number}+") } else { number.to_string() };
            table.row([
                queue.value.queue.clone(),
                partition.partition.to_string(),
                number(counts.due),
                number(counts.scheduled),
                number(counts.retrying),
                number(counts.malformed),
                number(counts.dead),
                number(counts.done),
            ]);
        }
    }
    table
}

/// Pauses a queue.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    /// Until this time, when a worker resumes it: as 2026-03-01T08:00:00Z, a day, +2h
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
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
