//! `tito top`.

use std::time::Duration;

use chrono::Utc;
use clap::Args;
use serde_json::value::RawValue;

use super::stats::{all_queues, count, table};
use crate::client::Client;
use crate::failure::Result;
use crate::output::{moment, parse_duration};
use crate::session::{Session, Target, Use};

/// Shows what is in all queues, again and again, until Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// How often
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    every: Duration,
    /// How many times; by default without end
    #[arg(long, value_name = "NUMBER")]
    times: Option<u64>,
}

impl Top {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        let (mut shown, mut kept) = (0, None);
        loop {
            let client = match kept.take() {
                Some(client) => client,
                None => session.client(Use::Look).await?,
            };
            show(session, &client).await?;
            if session.target()? == Target::Cluster {
                kept = Some(client);
            } else {
                drop(client);
                // The directory of a database that nobody has open is not kept from the application meanwhile.
                session.close_opened().await;
            }
            shown += 1;
            if self.times.is_some_and(|times| shown >= times) {
                return Ok(());
            }
            tokio::time::sleep(self.every.max(Duration::from_millis(100))).await;
        }
    }
}

async fn show(session: &Session, client: &Client) -> Result<()> {
    let output = &session.output;
    let stats = count(client, &all_queues(client).await?, None).await?;
    if output.is_json() {
        let items: Vec<&RawValue> = stats.iter().map(|stats| stats.raw.as_ref()).collect();
        return output
            .json(&serde_json::json!({"at": moment(Utc::now())}), false)
            .and_then(|()| output.json(&items, false));
    }
    let title = format!("tito top  {}", moment(Utc::now()));
    output.frame(&title, &table(stats.iter().map(|stats| &stats.value)), "There is no topic.")
}
