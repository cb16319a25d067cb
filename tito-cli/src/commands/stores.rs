//! `tito stores`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use serde_json::value::RawValue;
use tito_console::api::{Operation, Page, Projection, Store, StoreEvent};

use super::paging::Paging;
use crate::api;
use crate::client::{Answer, Call, Client, known_line, refused_line};
use crate::failure::Result;
use crate::output::{Output, Table, moment_of_seconds, visible};
use crate::session::{Session, Use};

/// How often a store is looked at that nobody tells of.
const LOOK: Duration = Duration::from_secs(1);

/// The most that a page has.
const MOST: u32 = 1_000;

/// Event stores.
#[derive(Debug, Subcommand)]
pub(crate) enum Stores {
    /// Lists the event stores
    List(Paging),
    /// Shows an event store
    Show {
        /// The store
        store: String,
    },
    /// Lists events of a store
    Events(Events),
    /// Shows events of a store as they are appended, until Ctrl-C
    Tail(Tail),
    /// Lists the projections of a store, and how far they are
    Projections {
        /// The store
        store: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Begins an operation that folds a projection again; workers that have it do the work
    Rebuild {
        /// The store
        store: String,
        /// The projection
        projection: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// The store
    store: String,
    /// Of these: type, type.id, type.id.event_type, with * at any place
    #[arg(long, value_name = "PATTERN")]
    select: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// The store
    store: String,
    /// Of these: type, type.id, type.id.event_type, with * at any place
    #[arg(long, value_name = "PATTERN")]
    select: Option<String>,
    /// After this sequence; by default from now on
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,
    /// How many; by default without end
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
}

impl Stores {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(paging) => {
                let client = session.client(Use::Read).await?;
                let stores = paging.read::<String>(&client, &api::get(["stores"])).await?;
                let table = |names: &[String]| {
                    let mut table = Table::new(["STORE"]);
                    names.iter().for_each(|name| table.row([name.clone()]));
                    table
                };
                stores.tell(&session.output, table, "There is no event store.")
            }
            Self::Show { store } => show(session, &store).await,
            Self::Events(Events { store, select, paging }) => {
                let client = session.client(Use::Read).await?;
                let call = api::get(["stores", &store, "events"]).query_if("select", select);
                let events = paging.read::<StoreEvent>(&client, &call).await?;
                events.tell(&session.output, events_table, "The store has no such event.")
            }
            Self::Tail(tail) => tail.run(session).await,
            Self::Projections { store, paging } => {
                let client = session.client(Use::Read).await?;
                let call = api::get(["stores", &store, "projections"]);
                let projections = paging.read::<Projection>(&client, &call).await?;
                projections.tell(&session.output, projections_table, "The store has no projection.")
            }
            Self::Rebuild { store, projection } => {
                let client = session.client(Use::Change).await?;
                let call = api::post(["stores", &store, "projections", &projection, "rebuild"]);
                let answer: Answer<Operation> = client.get(&session.change(call)).await?;
                session.output.answer(&answer.raw, |output| {
                    output.line(format!("{} is begun: rebuild {}", answer.value.id, visible(&projection)))
                })
            }
        }
    }
}

async fn show(session: &mut Session, store: &str) -> Result<()> {
    let client = session.client(Use::Read).await?;
    let answer: Answer<Store> = client.get(&api::get(["stores", store])).await?;
    session.output.answer(&answer.raw, |output| {
        let store = &answer.value;
        output.fields([
            ("store", store.name.clone()),
            ("description", store.description.clone()),
            ("events", store.events.to_string()),
            ("bytes", super::files::bytes(store.bytes)),
            ("first sequence", store.first_sequence.to_string()),
            ("last sequence", store.last_sequence.to_string()),
        ])?;
        output.fields(store.metadata.iter().map(|(name, value)| ("metadata", format!("{name}: {value}"))))
    })
}

impl Tail {
    /// By an application that has the database open, as it happens; else by looking again and again, in which time the
    /// directory can be had by an application.
    async fn run(self, session: &mut Session) -> Result<()> {
        let mut after = self.after;
        let mut left = self.limit;
        while left != Some(0) {
            let client = session.client(Use::Read).await?;
            let known = match after {
                Some(after) => after,
                None => client.get::<Store>(&api::get(["stores", &self.store])).await?.value.last_sequence,
            };
            if !session.keeps_directory()? {
                return self.follow(session, &client, known, left).await;
            }
            let call = self.call("events", known).query("limit", left.unwrap_or(MOST).min(MOST));
            let page: Page<Box<RawValue>> = client.get(&call).await?.value;
            drop(client);
            session.close_opened().await;
            let mut last = known;
            for line in &page.items {
                last = tell(&session.output, line)?;
            }
            left = left.map(|left| left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX)));
            after = Some(last);
            if page.next.is_none() && left != Some(0) {
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    async fn follow(&self, session: &Session, client: &Client, after: u64, limit: Option<u32>) -> Result<()> {
        let mut lines = client.lines(&self.call("tail", after).query_if("limit", limit)).await?;
        while let Some(line) = lines.next().await? {
            refused_line(&line)?;
            tell(&session.output, &line)?;
        }
        Ok(())
    }

    fn call(&self, what: &str, after: u64) -> Call {
        api::get(["stores", &self.store, what]).query("after", after).query_if("select", self.select.as_ref())
    }
}

/// Says an event, and what its sequence is.
fn tell(output: &Output, line: &RawValue) -> Result<u64> {
    let event: StoreEvent = known_line(line)?;
    if output.is_json() {
        output.json(&line, false)?
    } else {
        output.line(line_of(&event))?
    }
    Ok(event.sequence)
}

fn data(event: &StoreEvent) -> String {
    match &event.data {
        Some(data) => data.get().to_string(),
        None => json!({"codec": event.codec, "bytes": event.data_bytes}).to_string(),
    }
}

fn line_of(event: &StoreEvent) -> String {
    let time = moment_of_seconds(event.time_millis.div_euclid(1_000));
    let (entity, event_type) = (visible(&event.entity), visible(&event.event_type));
    format!("{} {time} {entity} {event_type} {}", event.sequence, visible(&data(event)))
}

fn events_table(events: &[StoreEvent]) -> Table {
    let mut table = Table::new(["#SEQUENCE", "TIME", "ENTITY", "TYPE", "DATA"]);
    for event in events {
        table.row([
            event.sequence.to_string(),
            moment_of_seconds(event.time_millis.div_euclid(1_000)),
            event.entity.clone(),
            event.event_type.clone(),
            data(event),
        ]);
    }
    table
}

fn projections_table(projections: &[Projection]) -> Table {
    let mut table = Table::new(["PROJECTION", "#CHECKPOINT", "#BEHIND", "#REBUILT TO", "FAILURE"]);
    for projection in projections {
        let failure = projection.failure.as_ref().or(projection.rebuild_failure.as_ref());
        table.row([
            projection.name.clone(),
            projection.checkpoint.to_string(),
            projection.last_sequence.saturating_sub(projection.checkpoint).to_string(),
            projection.rebuilt_to.map(|sequence| sequence.to_string()).unwrap_or_default(),
            failure.map(|failure| format!("{}: {}", failure.sequence, failure.error)).unwrap_or_default(),
        ]);
    }
    table
}
