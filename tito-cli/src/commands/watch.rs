//! `tito watch`.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use tito_console::api::{Happened, Watched};

use super::shown::when;
use crate::api;
use crate::client::{self, Lines};
use crate::failure::Result;
use crate::output::{Output, duration, note, visible};
use crate::session::{Session, Use};

/// Shows what is published and what the workers of a running application do, as it happens, until Ctrl-C.
///
/// It is what the process does that is asked, if its application watches it (`Console::watch`). What is published is not
/// shown if other processes publish too, as on a cluster.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Only of this queue
    queue: Option<String>,
    /// How many lines; by default without end
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
}

/// A line: what has happened, or how much was missed.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Dropped { dropped: u64 },
    NotShown { not_shown: Vec<Happened> },
    Watched(Box<Watched>),
}

impl Watch {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let call = api::get(["watch"]).query_if("queue", self.queue).query_if("limit", self.limit);
        let mut lines: Lines = client.lines(&call).await?;
        while let Some(line) = lines.next().await? {
            client::refused_line(&line)?;
            if session.output.is_json() {
                session.output.json(&line, false)?;
            } else {
                tell(&session.output, &line)?;
            }
        }
        Ok(())
    }
}

fn tell(output: &Output, line: &RawValue) -> Result<()> {
    let watched = match client::known_line(line)? {
        Line::Dropped { dropped } => return output.line(format!("{dropped} lines were missed")),
        Line::NotShown { not_shown } => {
            if not_shown.contains(&Happened::Published) {
                note("What is published is not shown: other processes publish to this database too.");
            }
            return Ok(());
        }
        Line::Watched(watched) => *watched,
    };
    let Watched { what, queue, id, entity, attempt, fate, duration_millis, error, due } = watched;
    if what == Happened::Published {
        let (queue, entity, due) = (visible(&queue), visible(&entity), due.map(when).unwrap_or_default());
        return output.line(format!("{queue} {entity} {id} published, due {due}"));
    }
    let happened = match what {
        Happened::HandedOut => "handed out",
        Happened::Handled => "handled",
        _ => "did what a later version knows",
    };
    let took = duration_millis.map(|millis| format!(" in {}", duration(Duration::from_millis(millis))));
    let fate = fate.map(|fate| format!(", {}", visible(&fate))).unwrap_or_default();
    let error = error.map(|error| format!(": {}", visible(&error))).unwrap_or_default();
    let (queue, entity, took) = (visible(&queue), visible(&entity), took.unwrap_or_default());
    output.line(format!("{queue} {entity} {id} {happened}, attempt {attempt}{took}{fate}{error}"))
}
