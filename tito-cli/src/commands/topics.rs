//! `tito topics`, `tito resize`.

use clap::Args;
use tito_console::api::{Affected, Topic};

use super::paging::Paging;
use crate::api;
use crate::client::Answer;
use crate::failure::Result;
use crate::output::{Table, duration, visible};
use crate::session::{Session, Use};

/// Of all topics, or of one.
#[derive(Debug, Args)]
pub(crate) struct Topics {
    /// The topic; all of them if none is named
    topic: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

impl Topics {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let Some(name) = self.topic else {
            let topics = self.paging.read::<Topic>(&client, &api::get(["topics"])).await?;
            return topics.tell(&session.output, table, "There is no topic.");
        };
        let topic: Answer<Topic> = client.get(&api::get(["topics", &name])).await?;
        session.output.answer(&topic.raw, |output| {
            let topic = &topic.value;
            output.fields([
                ("topic", topic.name.clone()),
                ("partitions", partitions(topic)),
                ("state", state(topic)),
                ("history", history(topic)),
                ("revision", topic.revision.to_string()),
                ("groups being removed", topic.removed_groups.join(" ")),
            ])?;
            if !topic.groups.is_empty() {
                output.table(&super::groups::table(topic), "")?;
            }
            Ok(())
        })
    }
}

fn table(topics: &[Topic]) -> Table {
    let mut table = Table::new(["TOPIC", "#PARTITIONS", "STATE", "HISTORY", "GROUPS"]);
    for topic in topics {
        let groups: Vec<&str> = topic.groups.keys().map(String::as_str).collect();
        table.row([topic.name.clone(), partitions(topic), state(topic), history(topic), groups.join(" ")]);
    }
    table
}

fn partitions(topic: &Topic) -> String {
    match topic.resized_from {
        Some(from) => format!("{from} -> {}", topic.partitions),
        None => topic.partitions.to_string(),
    }
}

fn state(topic: &Topic) -> String {
    let mut state = vec![match (topic.is_paused, topic.is_paused_by_restore) {
        (true, _) => "paused",
        (false, true) => "paused by the restore",
        (false, false) => "running",
    }];
    state.extend(topic.groups_only.then_some("groups only"));
    state.join(", ")
}

fn history(topic: &Topic) -> String {
    match topic.history_seconds {
        0 => String::new(),
        seconds => duration(std::time::Duration::from_secs(seconds)),
    }
}

/// Of a topic; its events are moved while it is in use.
#[derive(Debug, Args)]
pub(crate) struct Resize {
    /// The topic
    topic: String,
    /// How many it is to have
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    partitions: u16,
}

impl Resize {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Change).await?;
        let call = api::post(["topics", &self.topic, "resize"])
            .json(&tito_console::api::Resize { partitions: self.partitions })?;
        let answer: Answer<Affected> = client.get(&session.change(call)).await?;
        session.output.answer(&answer.raw, |output| {
            let (topic, moved) = (visible(&self.topic), answer.value.affected);
            output.line(format!("{topic} has {} partitions; {moved} events were moved", self.partitions))
        })
    }
}
