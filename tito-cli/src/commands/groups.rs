//! `tito groups`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use tito_console::api::Topic;

use super::change::{Rehearsal, destroy, make};
use super::shown::when;
use crate::api;
use crate::client::Answer;
use crate::failure::Result;
use crate::output::{Table, visible};
use crate::session::{Session, Use};

/// Groups of a topic.
#[derive(Debug, Subcommand)]
pub(crate) enum Groups {
    /// Lists the groups of a topic
    List {
        /// The topic
        topic: String,
    },
    /// Adds a group, with its own queue
    Add(Add),
    /// Removes a group, with everything in its queue
    Remove(Remove),
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The topic
    topic: String,
    /// The group
    group: String,
    /// Where it begins: with events published from now on, or with everything that is still kept
    #[arg(long, value_enum, default_value_t = Start::Now)]
    start: Start,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Start {
    Now,
    History,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The topic
    topic: String,
    /// The group
    group: String,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

impl Groups {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List { topic } => {
                let client = session.client(Use::Read).await?;
                let topic: Answer<Topic> = client.get(&api::get(["topics", &topic])).await?;
                session
                    .output
                    .answer(&topic.value.groups, |output| output.table(&table(&topic.value), "The topic has no group."))
            }
            Self::Add(Add { topic, group, start }) => {
                let client = session.client(Use::Change).await?;
                let start = match start {
                    Start::Now => "now",
                    Start::History => "history",
                };
                let call = api::put(["topics", &topic, "groups", &group]).json(&json!({"start": start}))?;
                make(session, &client, call, format!("{}@{} was added", visible(&topic), visible(&group))).await
            }
            Self::Remove(Remove { topic, group, rehearsal }) => {
                let call = api::delete(["topics", &topic, "groups", &group]);
                let name = format!("{}@{}", visible(&topic), visible(&group));
                let what = format!("event(s) of {name}, pending, dead and done, with which it is removed");
                let Some(answer) = destroy::<Topic>(session, call, rehearsal, &what).await? else {
                    return Ok(());
                };
                session.output.answer(&answer.raw, |output| output.line(format!("{name} was removed")))
            }
        }
    }
}

pub(crate) fn table(topic: &Topic) -> Table {
    let mut table = Table::new(["GROUP", "QUEUE", "STATE", "SINCE"]);
    for (name, group) in &topic.groups {
        let state = match (group.is_copying, group.is_paused, group.is_paused_by_restore) {
            (true, ..) => "copying",
            (_, true, _) => "paused",
            (_, _, true) => "paused by the restore",
            _ => "running",
        };
        table.row([name.clone(), group.queue.clone(), state.to_string(), when(group.since)]);
    }
    table
}
