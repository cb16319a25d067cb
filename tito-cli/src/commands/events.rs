//! `tito events`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::value::RawValue;
use tito_console::api::{
    Affected, Due, Explanation, Found, FoundEvent, OfEntity, PendingEvent, PublishEvent, Published,
};
use uuid::Uuid;

use super::change::{Rehearsal, destroy};
use super::paging::{Paging, read_whole};
use super::shown::{self, when};
use crate::api;
use crate::client::{Answer, Call};
use crate::failure::{Failure, Kind, Result};
use crate::output::{Table, note, parse_moment, visible};
use crate::session::{Session, Use};

/// Events of topics.
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Lists the events of a queue that are not done, by partition and then as they fall due
    List(List),
    /// Shows an event, with its failures, in each queue that has it
    Show(Named),
    /// Shows in which queues an event is: waiting, done, or a dead letter
    Find(Named),
    /// Explains why an event is not handled, or what happened to it
    Explain(Explain),
    /// Lists the events of one entity in a queue: waiting, dead letters, and done ones that are kept
    Of(Of),
    /// Lists what handlers of an event have published
    Caused(Caused),
    /// Publishes an event
    Publish(Publish),
    /// Cancels an event that is not done
    Cancel(Cancel),
    /// Makes an event due at another time
    Reschedule(Reschedule),
    /// Makes an event due now
    Run(Named),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    #[command(flatten)]
    paging: Paging,
}

/// Which event.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its topic
    topic: String,
    /// Its id
    id: Uuid,
    /// Its entity; with --due it is found without searching its topic
    #[arg(long, requires = "due")]
    entity: Option<String>,
    /// When it was published to fall due, in Unix seconds or as 2026-03-01T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_second, requires = "entity")]
    due: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    /// The event's id
    id: Uuid,
    /// Its entity; then one partition is read instead of all
    #[arg(long)]
    entity: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Of {
    /// The queue: TOPIC or TOPIC@GROUP
    queue: String,
    /// The entity, as user:17
    entity: String,
    /// How many at most
    #[arg(long, short, value_name = "NUMBER", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Caused {
    /// The event's id
    id: Uuid,
    /// How many rows are read at most
    #[arg(long, value_name = "NUMBER")]
    rows: Option<u32>,
    /// Where to continue, from an earlier answer
    #[arg(long, value_name = "WHERE")]
    after: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

#[derive(Debug, Args)]
pub(crate) struct Reschedule {
    #[command(flatten)]
    named: Named,
    /// When it is to be due: as 2026-03-01T08:00:00Z, a day, +2h
    #[arg(long, value_name = "TIME", value_parser = parse_moment, allow_hyphen_values = true)]
    to: DateTime<Utc>,
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The topic, which must exist
    topic: String,
    /// What it is about, as user:17
    entity: String,
    /// What happened
    #[arg(long)]
    action: Option<String>,
    /// When it is due: as 2026-03-01T08:00:00Z, a day, +2h; at once unless said
    #[arg(long, value_name = "TIME", value_parser = parse_moment, allow_hyphen_values = true)]
    at: Option<DateTime<Utc>>,
    /// Its payload, as JSON
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// A header
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// The owner
    #[arg(long)]
    owner: Option<String>,
}

fn parse_second(text: &str) -> Result<i64, String> {
    text.parse().or_else(|_| parse_moment(text).map(|time| time.timestamp()))
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, found {text:?}"))?;
    Ok((name.to_string(), value.to_string()))
}

impl Named {
    fn call(&self, call: Call) -> Call {
        call.query_if("entity", self.entity.as_ref()).query_if("timestamp", self.due)
    }

    fn post(&self, verb: &str) -> Call {
        self.call(api::post(["topics", &self.topic, "events", &self.id.to_string(), verb]))
    }
}

impl Events {
    pub(crate) async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::List(List { queue, paging }) => {
                let client = session.client(Use::Read).await?;
                let events = paging.read::<PendingEvent>(&client, &api::get(["queues", &queue, "events"])).await?;
                events.tell(&session.output, pending_table, "Nothing waits there.")
            }
            Self::Show(named) => find(session, &named, true).await,
            Self::Find(named) => find(session, &named, false).await,
            Self::Explain(explain) => explain.run(session).await,
            Self::Of(of) => of.run(session).await,
            Self::Caused(caused) => caused.run(session).await,
            Self::Publish(publish) => publish.run(session).await,
            Self::Cancel(Cancel { named, rehearsal }) => {
                let what = format!("place(s) where event {} waits", named.id);
                let call = named.post("cancel");
                let Some(answer) = destroy::<Affected>(session, call, rehearsal, &what).await? else {
                    return Ok(());
                };
                session.output.answer(&answer.raw, |output| output.line(format!("{} was cancelled", named.id)))
            }
            Self::Reschedule(Reschedule { named, to }) => {
                moved(session, named.post("reschedule").json(&Due { at: to.timestamp() })?).await
            }
            Self::Run(named) => moved(session, named.post("run")).await,
        }
    }
}

impl Explain {
    async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let call = api::get(["queues", &self.queue, "events", &self.id.to_string(), "explain"])
            .query_if("entity", self.entity.as_ref());
        let answer: Answer<Explanation> = client.get(&call).await?;
        session.output.answer(&answer.raw, |output| {
            for reason in &answer.value.because {
                output.line(format!("{}: {}", output.bold(&visible(&reason.because)), visible(&reason.text)))?;
            }
            if let Some(event) = &answer.value.event {
                output.line("")?;
                shown::event(output, event)?;
            }
            Ok(())
        })
    }
}

impl Of {
    async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let call = api::get(["queues", &self.queue, "entity"]).query("entity", &self.entity).query("limit", self.limit);
        let answer: Answer<OfEntity> = client.get(&call).await?;
        session.output.answer(&answer.raw, |output| {
            output.table(&events_table(&answer.value.items), "The queue has no event of it.")?;
            if !answer.value.is_whole {
                note("There are more of them than were read.");
            }
            Ok(())
        })
    }
}

impl Caused {
    async fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(Use::Read).await?;
        let call = api::get(["events", &self.id.to_string(), "caused"])
            .query_if("rows", self.rows)
            .query_if("after", self.after);
        let answer: Answer<Found> = client.get(&call).await?;
        session.output.answer(&answer.raw, |output| {
            let searched = answer.value.searched;
            output.table(&events_table(&answer.value.items), &format!("None was found in {searched} rows."))?;
            if let Some(next) = &answer.value.next {
                note(format!("searched {searched} rows; --after '{}' goes on", visible(next)));
            }
            Ok(())
        })
    }
}

async fn find(session: &mut Session, named: &Named, is_whole: bool) -> Result<()> {
    let client = session.client(Use::Read).await?;
    let call = named.call(api::get(["topics", &named.topic, "events", &named.id.to_string()]));
    let found = read_whole::<FoundEvent>(&client, &call).await?;
    if found.items.is_empty() {
        let message =
            format!("topic {:?} has no event {}: it was done and not kept, or never there", named.topic, named.id);
        return Err(Failure::new(Kind::NotFound, message));
    }
    if session.output.is_json() || !is_whole {
        return found.tell(&session.output, found_table, "");
    }
    session.output.table(&found_table(&found.items), "")?;
    if let Some(event) = found.items.iter().find_map(|found| found.event.as_ref()) {
        session.output.line("")?;
        shown::event(&session.output, event)?;
    }
    Ok(())
}

async fn moved(session: &mut Session, call: Call) -> Result<()> {
    let client = session.client(Use::Change).await?;
    let answer: Answer<Published> = client.get(&session.change(call)).await?;
    session.output.answer(&answer.raw, |output| {
        output.line(format!("{} is due {}", answer.value.id, when(answer.value.timestamp)))
    })
}

impl Publish {
    async fn run(self, session: &mut Session) -> Result<()> {
        let payload = self.payload.map(|text| {
            let no_json = |error| Failure::usage("the payload is no JSON").because(error);
            serde_json::from_str::<Box<RawValue>>(&text).map_err(no_json)
        });
        let event = PublishEvent {
            entity: self.entity,
            action: self.action,
            at: self.at.map(|at| at.timestamp()),
            headers: self.headers.into_iter().collect::<BTreeMap<_, _>>(),
            owner: self.owner,
            payload: payload.transpose()?,
        };
        let client = session.client(Use::Change).await?;
        let call = api::post(["topics", &self.topic, "events"]).json(&event)?;
        let answer: Answer<Published> = client.get(&session.change(call)).await?;
        session.output.answer(&answer.raw, |output| {
            let Published { event_type, entity, timestamp, id } = &answer.value;
            let (event_type, entity) = (visible(event_type), visible(entity));
            output.line(format!("{id} was published to {event_type} for {entity}, due {}", when(*timestamp)))
        })
    }
}

fn pending_table(events: &[PendingEvent]) -> Table {
    let mut table = Table::new(["ID", "ENTITY", "ACTION", "STATE", "DUE", "#FAILED", "LAST ERROR"]);
    for pending in events {
        let state = shown::state(pending.state).to_string();
        match &pending.event {
            Some(event) => table.row([
                event.id.to_string(),
                event.entity.clone(),
                event.action.clone(),
                state,
                when(pending.due),
                event.failed_attempts.to_string(),
                shown::last_error(event),
            ]),
            None => {
                let bytes = pending.bytes.clone().unwrap_or_default();
                table.row([
                    pending.key.clone(),
                    String::new(),
                    String::new(),
                    state,
                    when(pending.due),
                    String::new(),
                    bytes,
                ]);
            }
        }
    }
    table
}

/// Events of several queues.
fn events_table(found: &[FoundEvent]) -> Table {
    let mut table = Table::new(["QUEUE", "ID", "ENTITY", "ACTION", "STATE", "DUE", "LAST ERROR"]);
    for found in found {
        let state = shown::found_in(found.found_in, found.state).to_string();
        let Some(event) = &found.event else {
            let none = String::new;
            table.row([found.queue.clone(), found.key.clone(), none(), none(), state, none(), none()]);
            continue;
        };
        table.row([
            found.queue.clone(),
            event.id.to_string(),
            event.entity.clone(),
            event.action.clone(),
            state,
            when(event.not_before.unwrap_or(event.timestamp)),
            shown::last_error(event),
        ]);
    }
    table
}

fn found_table(found: &[FoundEvent]) -> Table {
    let mut table = Table::new(["QUEUE", "STATE", "DUE", "#FAILED", "LAST ERROR"]);
    for found in found {
        let state = shown::found_in(found.found_in, found.state).to_string();
        let event = found.event.as_ref();
        table.row([
            found.queue.clone(),
            state,
            event.map(|event| when(event.not_before.unwrap_or(event.timestamp))).unwrap_or_default(),
            event.map(|event| event.failed_attempts.to_string()).unwrap_or_default(),
            event.map(shown::last_error).unwrap_or_default(),
        ]);
    }
    table
}
