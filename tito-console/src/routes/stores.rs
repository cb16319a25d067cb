//! Event stores: what there is of them, their events, projections and reactors.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use futures::StreamExt;
use tito_eventstore::{EventStore, EventStoreInfo, ReactFrom, Select};
use tito_worker::OperationTask;

use super::operations;
use crate::api::{Affected, Page, PageQuery, Reactor, ReplayFrom, ReplayReactor, Store, StoreQuery};
use crate::app::App;
use crate::call::{Call, Operate, Read};
use crate::failure::{Answer, Failure, json};
use crate::input::{self, Asked, Names, Nothing, Sent};
use crate::lines::{self, Lines};
use crate::pages::{self, Filling};
use crate::redact::Redact;
use crate::shown::Shown;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/stores", get(list))
        .route("/stores/{store}", get(one))
        .route("/stores/{store}/events", get(events))
        .route("/stores/{store}/tail", get(tail))
        .route("/stores/{store}/projections", get(projections))
        .route("/stores/{store}/projections/{projection}/rebuild", post(rebuild))
        .route("/stores/{store}/reactors", get(reactors))
        .route("/stores/{store}/reactors/{reactor}/replay", post(replay))
}

async fn store<R>(call: &Call<R>, name: &str) -> Answer<EventStore> {
    Ok(call.manager().get_event_store(name).await?)
}

fn shown(info: EventStoreInfo) -> Store {
    Store {
        name: info.name,
        description: info.description,
        metadata: info.metadata,
        first_sequence: info.first_sequence,
        last_sequence: info.last_sequence,
        events: info.events,
        bytes: info.bytes,
    }
}

async fn list(call: Call<Read>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let limit = input::limit(query.limit)?;
    let names = call.manager().event_stores(query.after.as_deref(), limit).await?;
    Ok(json(&pages::of(names, limit, String::clone)?))
}

async fn one(call: Call<Read>, Names(name): Names<String>) -> Answer<Response> {
    Ok(json(&shown(store(&call, &name).await?.info().await?)))
}

fn select(query: &StoreQuery) -> Select {
    let all = query.select.as_deref().map_or_else(Select::all, Select::filter);
    all.after(query.after.unwrap_or(0))
}

async fn events(call: Call<Read>, Names(name): Names<String>, Asked(query): Asked<StoreQuery>) -> Answer<Response> {
    let (limit, store) = (input::limit(query.limit)?, store(&call, &name).await?);
    let mut stream = store.events(select(&query));
    let mut page = Filling::new(limit);
    while !page.is_full()
        && let Some(event) = stream.next().await
    {
        let event = event?;
        page.add(&call.shown().of_store(&name, &event), || event.sequence().to_string())?;
    }
    Ok(json(&page.page()))
}

/// The events that there are and that will be, one a line.
async fn tail(call: Call<Read>, Names(name): Names<String>, Asked(query): Asked<StoreQuery>) -> Answer<Response> {
    let store = store(&call, &name).await?;
    let most = query.limit.map_or(usize::MAX, |limit| limit as usize);
    let (mut stream, redact): (_, Redact) = (store.tail(select(&query)).take(most), call.redact().clone());
    let heartbeat = call.heartbeat();
    Ok(lines::stream(lines::place(call.streams())?, heartbeat, |lines: Lines| async move {
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    if !lines.say(&Shown::by(&redact).of_store(&name, &event)).await {
                        return;
                    }
                }
                Err(error) => return lines.fail(Failure::from(error).redacted(&redact, &name)).await,
            }
        }
    }))
}

async fn projections(call: Call<Read>, Names(name): Names<String>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let store = store(&call, &name).await?;
    let names = names(store.projections().await?, &query)?;
    let mut items = Vec::with_capacity(names.items.len());
    for projection in names.items {
        items.push(call.shown().projection(&name, store.projection(&projection).await?));
    }
    Ok(json(&Page { items, next: names.next }))
}

/// A page of the names of what there is of a kind: what they are of is only read of these.
fn names(mut all: Vec<String>, query: &PageQuery) -> Answer<Page<String>> {
    let limit = input::limit(query.limit)?;
    all.sort();
    all.retain(|name| query.after.as_ref().is_none_or(|after| name > after));
    let next = (all.len() > limit).then(|| all[limit - 1].clone());
    all.truncate(limit);
    Ok(Page { items: all, next })
}

async fn rebuild(
    call: Call<Operate>,
    Names((name, projection)): Names<(String, String)>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Answer<Response> {
    // Whoever slips is told so now, and not by an operation that nobody takes up.
    store(&call, &name).await?.projection(&projection).await?;
    let of = format!("{name} {projection}");
    let task = OperationTask::Rebuild { store: name, projection };
    let operation = tito_worker::Operation::new(task, &call.operator());
    let id = call.change("rebuild", &of, async { Ok(call.queue().operations().start(operation).await?) }).await?;
    Ok(json(&operations::shown(call.redact(), call.queue().operations().get(id).await?)))
}

async fn reactors(call: Call<Read>, Names(name): Names<String>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let store = store(&call, &name).await?;
    let names = names(store.reactors().await?, &query)?;
    let mut items = Vec::with_capacity(names.items.len());
    for reactor in names.items {
        let info = store.reactor(&reactor).await?;
        let (position, open) = (info.position, info.open as u64);
        items.push(Reactor { name: info.name, position, open, last_sequence: info.last_sequence });
    }
    Ok(json(&Page { items, next: names.next }))
}

async fn replay(
    call: Call<Operate>,
    Names((name, reactor)): Names<(String, String)>,
    Sent(body): Sent<ReplayReactor>,
) -> Answer<Response> {
    let from = match body.from {
        ReplayFrom::First => ReactFrom::First,
        ReplayFrom::Last => ReactFrom::Last,
        ReplayFrom::New => ReactFrom::New,
        ReplayFrom::Sequence(sequence) => ReactFrom::Sequence(sequence),
        ReplayFrom::Time(seconds) => ReactFrom::Time(input::time(seconds)?),
    };
    let store = store(&call, &name).await?;
    let of = format!("{name} {reactor}");
    call.change("replay_reactor", &of, async { Ok(store.replay_reactor(&reactor, from).await?) }).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}
