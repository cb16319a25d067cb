//! `tito stats`: what is in queues.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use tito_console::api::{Engine, QueueStats, Topic, Worker};

use super::paging::read_whole;
use crate::api;
use crate::client::{Answer, Client};
use crate::failure::Result;
use crate::output::{Table, duration, note, parse_duration, visible};
use crate::session::{Session, Use};

/// How often it is looked whether workers have counted.
const LOOK: Duration = Duration::from_secs(1);

/// Of the queues named, or of all.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The queues: TOPIC or TOPIC@GROUP; all of them if none is named
    queues: Vec<String>,
    /// How many events of a kind are counted in each partition; by default 400 events of a queue in all
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: Option<u32>,
    /// Each partition by itself
    #[arg(long)]
    partitions: bool,
    /// How long to wait, on a cluster, for workers to count what is due in queues with many events; 0s: not at all
    #[arg(long, value_name = "TIME", default_value = "12s", value_parser = parse_duration)]
    wait: Duration,
}

#[derive(Serialize)]
struct Queues<'a> {
    items: Vec<&'a RawValue>,
}

impl Stats {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Look).await?;
        let queues = if self.queues.is_empty() { all_queues(&client).await? } else { self.queues };
        let mut stats = count(&client, &queues, self.limit).await?;
        let uncounted = wait_for_owners(&client, &mut stats, self.limit, self.wait).await?;
        let items = stats.iter().map(|stats| stats.raw.as_ref()).collect();
        session.output.answer(&Queues { items }, |output| {
            if self.partitions {
                return output.table(&partitions_table(&stats), "There is no topic.");
            }
            output.table(&table(stats.iter().map(|stats| &stats.value)), "There is no topic.")?;
            for Uncounted { queue, is_served } in &uncounted {
                let why = if *is_served {
                    format!("its workers have not counted it within {}", duration(self.wait))
                } else {
                    "no live worker serves it, which would count it".to_string()
                };
                note(format!("{}: at least so much is due: {why}", visible(queue)));
            }
            Ok(())
        })
    }
}

/// A queue in which more may be due than is counted where it is asked for.
struct Uncounted {
    queue: String,
    /// Whether a live worker serves it.
    is_served: bool,
}

/// Gives the workers some time to count, where several processes write, queues in which more is due than is counted by
/// whoever asks. They have been told that somebody looks. Returns those that they have not counted.
async fn wait_for_owners(
    client: &Client,
    stats: &mut [Answer<QueueStats>],
    limit: Option<u32>,
    time: Duration,
) -> Result<Vec<Uncounted>> {
    let is_counted = |stats: &QueueStats| stats.backlog.by_owners || !stats.backlog.at_least;
    if stats.iter().all(|stats| is_counted(&stats.value)) {
        return Ok(Vec::new());
    }
    if client.get::<Engine>(&api::get(["engine"])).await?.value.is_only_writer {
        return Ok(Vec::new());
    }
    let workers = read_whole::<Worker>(client, &api::get(["workers"])).await?.items;
    let is_served = |queue: &str| workers.iter().any(|worker| worker.is_live && worker.queues.contains(queue));
    let deadline = tokio::time::Instant::now() + time;
    loop {
        let mut waits = false;
        for stats in stats.iter_mut().filter(|stats| !is_counted(&stats.value)) {
            let queue = stats.value.queue.clone();
            if !is_served(&queue) || tokio::time::Instant::now() + LOOK > deadline {
                continue;
            }
            let call = api::get(["queues", &queue, "stats"]).query_if("limit", limit);
            *stats = client.get(&call).await?;
            waits |= !is_counted(&stats.value);
        }
        if !waits {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let uncounted = stats.iter().map(|stats| &stats.value).filter(|stats| !is_counted(stats));
    let uncounted = uncounted.map(|stats| (stats.queue.clone(), is_served(&stats.queue)));
    Ok(uncounted.map(|(queue, is_served)| Uncounted { queue, is_served }).collect())
}

/// The names of all queues that there are: of topics, and of their groups.
pub(crate) async fn all_queues(client: &Client) -> Result<Vec<String>> {
    let topics = read_whole::<Topic>(client, &api::get(["topics"])).await?;
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
    let stats: Vec<_> = stats.into_iter().collect();
    // How old it is matters only where it was counted by others, before it was asked for.
    let has_ages = stats.iter().any(|queue| queue.backlog.by_owners);
    let titles = ["QUEUE", "STATE", "#DUE", "#SCHEDULED", "#RETRYING", "#IN FLIGHT", "#DEAD", "#DONE", "OLDEST DUE"];
    let mut table = Table::new(titles.into_iter().chain(has_ages.then_some("DUE COUNTED")));
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
        let age = match u64::try_from(queue.counted_at.saturating_sub(queue.backlog.as_of)) {
            Ok(seconds @ 1..) => format!("{} ago", duration(Duration::from_secs(seconds))),
            _ => "now".to_string(),
        };
        let row = [
            queue.queue.clone(),
            state.to_string(),
            due,
            number(queue.total.scheduled),
            number(queue.total.retrying),
            queue.in_flight.to_string(),
            number(queue.total.dead),
            number(queue.total.done),
            oldest.map(|age| duration(Duration::from_secs(age))).unwrap_or_default(),
        ];
        table.row(row.into_iter().chain(has_ages.then_some(age)));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_have_counted_says_when_and_how_far() {
        let queue = |name: &str, backlog| {
            let stats = json!({
                "queue": name, "counted_at": 1_700_000_020, "is_paused": false, "is_published_to": true,
                "backlog": backlog, "total": {},
            });
            serde_json::from_value::<QueueStats>(stats).unwrap()
        };
        let here = json!({"count": 200, "at_least": true, "as_of": 1_700_000_020});
        let owned = json!({"count": 10_000, "at_least": true, "as_of": 1_700_000_013, "by_owners": true});
        let lines = table(&[queue("mail", here.clone()), queue("audit", owned)]).lines(None, str::to_string);
        assert!(lines[0].ends_with("DUE COUNTED"), "{lines:#?}");
        assert!(lines[1].contains("200+") && lines[1].ends_with("now"), "{lines:#?}");
        assert!(lines[2].contains("10000+") && lines[2].ends_with("7s ago"), "{lines:#?}");
        let lines = table(&[queue("mail", here)]).lines(None, str::to_string);
        assert!(lines[0].ends_with("OLDEST DUE"), "{lines:#?}");
    }
}
