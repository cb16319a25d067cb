//! What an operation is to do.

use chrono::Utc;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::change::Rehearsal;
use super::queues::Times;
use crate::failure::{Failure, Result};
use crate::output::visible;

/// What an operation is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Makes dead letters due again
    Redrive {
        #[command(flatten)]
        letters: Letters,
        /// In their old places, before later events of their entities
        #[arg(long)]
        in_order: bool,
    },
    /// Deletes dead letters
    PurgeDead(Letters),
    /// Deletes events that are not done
    Purge(Events),
    /// Hands out again events that were done in a span of time
    Replay(Replay),
    /// Makes an index of a table whole; workers whose application has registered the model do it
    Reindex {
        /// The table
        table: String,
        /// The index
        index: String,
    },
    /// Folds a projection of an event store anew; workers that have the projection do it
    Rebuild {
        /// The store
        store: String,
        /// The projection
        projection: String,
    },
    /// Lets all queues and schedules go on that a restore has paused
    Resume,
    /// Does what the application has given this name, whatever it does
    Named {
        /// The name
        name: String,
        /// Its input, as JSON
        #[arg(long, value_name = "JSON")]
        input: Option<String>,
    },
}

/// Those dead letters for which all holds that is said.
#[derive(Debug, Args)]
pub(crate) struct Letters {
    #[command(flatten)]
    events: Events,
    /// Those whose last error contains this
    #[arg(long, value_name = "TEXT", conflicts_with = "all")]
    error: Option<String>,
    /// Those of a group, by its fingerprint
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "all")]
    group: Option<String>,
}

/// Those events for which all holds that is said.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    /// All of the queue
    #[arg(long, conflicts_with_all = ["entity", "action", "from", "before"])]
    all: bool,
    /// Those about this
    #[arg(long)]
    entity: Option<String>,
    /// Those of this action
    #[arg(long)]
    action: Option<String>,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The queue with the history: TOPIC or TOPIC@GROUP
    queue: String,
    /// The queue that is to handle it again, of the same topic; by default the one with the history
    #[arg(long, value_name = "QUEUE")]
    into: Option<String>,
    #[command(flatten)]
    times: Times,
    /// In their old places, before later events of their entities
    #[arg(long)]
    in_order: bool,
}

impl Task {
    /// As the API takes it.
    pub(crate) fn json(&self) -> Result<Value> {
        Ok(match self {
            Self::Redrive { letters, in_order } => {
                let queue = &letters.events.queue;
                json!({"kind": "redrive", "queue": queue, "letters": letters.json()?, "in_order": in_order})
            }
            Self::PurgeDead(letters) => {
                json!({"kind": "purge_dead_letters", "queue": letters.events.queue, "letters": letters.json()?})
            }
            Self::Purge(events) => {
                let chosen = events.chosen([])?;
                json!({"kind": "purge", "queue": events.queue, "events": chosen})
            }
            Self::Replay(replay) => {
                let (since, until) = replay.times.seconds();
                // What is done while it runs is not done again.
                let until = until.unwrap_or_else(|| Utc::now().timestamp());
                let into = replay.into.as_ref().unwrap_or(&replay.queue);
                json!({
                    "kind": "replay",
                    "from": replay.queue,
                    "into": into,
                    "since": since.unwrap_or(0),
                    "until": until,
                    "in_order": replay.in_order,
                })
            }
            Self::Reindex { table, index } => json!({"kind": "reindex", "table": table, "index": index}),
            Self::Rebuild { store, projection } => {
                json!({"kind": "rebuild", "store": store, "projection": projection})
            }
            Self::Resume => json!({"kind": "resume"}),
            Self::Named { name, input } => {
                let no_json = |error| Failure::usage("the input is no JSON").because(error);
                let input: Option<Value> = input.as_deref().map(serde_json::from_str).transpose().map_err(no_json)?;
                json!({"kind": "named", "name": name, "input": input})
            }
        })
    }

    /// What it affects, where that can be counted first, and whether that is all that is wanted.
    pub(crate) fn affects(&self) -> Option<(String, Rehearsal)> {
        let (what, events) = match self {
            Self::Redrive { letters, .. } => ("dead letter(s)", &letters.events),
            Self::PurgeDead(letters) => ("dead letter(s)", &letters.events),
            Self::Purge(events) => ("event(s)", events),
            Self::Replay(_) | Self::Reindex { .. } | Self::Rebuild { .. } | Self::Resume | Self::Named { .. } => {
                return None;
            }
        };
        let fate = if self.destroys() { ", which are deleted" } else { "" };
        Some((format!("{what} of {}{fate}", visible(&events.queue)), events.rehearsal))
    }

    /// Whether it deletes something for good. What an application has named says so itself.
    pub(crate) fn destroys(&self) -> bool {
        matches!(self, Self::PurgeDead(_) | Self::Purge(_))
    }
}

impl Letters {
    fn json(&self) -> Result<Value> {
        self.events.chosen([("error", self.error.as_ref()), ("fingerprint", self.group.as_ref())])
    }
}

impl Events {
    /// Which of them. Nothing said is not all of them.
    fn chosen<const N: usize>(&self, further: [(&str, Option<&String>); N]) -> Result<Value> {
        let (since, until) = self.times.seconds();
        let texts = [("entity", self.entity.as_ref()), ("action", self.action.as_ref())].into_iter().chain(further);
        let texts = texts.filter_map(|(name, text)| Some((name.to_string(), text?.clone().into())));
        let times = [("since", since), ("until", until)].into_iter();
        let times = times.filter_map(|(name, time)| Some((name.to_string(), time?.into())));
        let all = self.all.then(|| ("all".to_string(), true.into()));
        let chosen: Map<String, Value> = texts.chain(times).chain(all).collect();
        if chosen.is_empty() {
            return Err(Failure::usage("which of them? --all, --entity, --action, --from, --before and others say it"));
        }
        Ok(Value::Object(chosen))
    }
}
