//! Why an event is not handled, what it did, and what dead letters have in common.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use tito_core::event::{Cause, EventReference, topic_of};
use tito_worker::{SearchBounds, WhichEvent};
use uuid::Uuid;

use crate::api::{EntityQuery, EventAt, Found, OfEntity, Page, SearchQuery};
use crate::app::App;
use crate::call::{Call, Read};
use crate::failure::{Answer, Failure, json};
use crate::input::{self, Asked, Names};
use crate::pages;
use crate::shown;

/// How many seconds a search takes, unless asked otherwise.
const SECONDS: u32 = 5;

/// How many rows a search reads, unless asked otherwise.
const ROWS: u32 = 100_000;

/// How many rows a search reads at most.
const MOST_ROWS: u32 = 1_000_000;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/queues/{queue}/events/{id}/explain", get(explain))
        .route("/queues/{queue}/entity", get(of_entity))
        .route("/queues/{queue}/dead/groups", get(groups))
        .route("/events/{id}/caused", get(caused))
}

async fn explain(
    call: Call<Read>,
    Names((queue, id)): Names<(String, Uuid)>,
    Asked(at): Asked<EventAt>,
) -> Answer<Response> {
    let which = match (at.entity, at.timestamp) {
        (Some(entity), Some(timestamp)) => {
            let event_type = topic_of(&queue).0.to_string();
            WhichEvent::Reference(EventReference { event_type, entity, timestamp, id })
        }
        (Some(entity), None) => WhichEvent::OfEntity { entity, id },
        (None, None) => WhichEvent::Id(id),
        (None, Some(_)) => return Err(Failure::invalid("`timestamp` is said together with `entity`")),
    };
    Ok(json(&call.shown().explanation(call.queue().explain(&queue, which).await?)))
}

async fn of_entity(
    call: Call<Read>,
    Names(queue): Names<String>,
    Asked(query): Asked<EntityQuery>,
) -> Answer<Response> {
    let found = call.queue().find_by_entity(&queue, &query.entity, input::limit(query.limit)?).await?;
    let (rows_read, found_all, all) = (found.rows_read, found.is_whole, found.events.len());
    let items = found.events.into_iter().map(|event| call.shown().found(event));
    let items = pages::of(items, usize::MAX, |event| event.key.clone())?.items;
    let is_whole = found_all && items.len() == all;
    Ok(json(&OfEntity { items, rows_read, is_whole }))
}

/// How far a search goes, ending before the request would be ended.
fn bounds<R>(call: &Call<R>, query: &SearchQuery) -> Answer<SearchBounds> {
    let rows = query.rows.unwrap_or(ROWS);
    if !(1..=MOST_ROWS).contains(&rows) {
        return Err(Failure::invalid(format!("`rows` of {rows} can't be used: expected 1 to {MOST_ROWS}")));
    }
    let time = Duration::from_secs(query.seconds.unwrap_or(SECONDS).into()).min(call.read_time() / 2);
    Ok(SearchBounds::default().time(time).rows(rows.into()))
}

async fn groups(call: Call<Read>, Names(queue): Names<String>, Asked(query): Asked<SearchQuery>) -> Answer<Response> {
    let after = query.after.as_deref().map(input::key).transpose()?;
    let groups = call.queue().dead_letter_groups(&queue, bounds(&call, &query)?, after.as_ref()).await?;
    Ok(json(&call.shown().dead_groups(&queue, groups)))
}

async fn caused(call: Call<Read>, Names(id): Names<Uuid>, Asked(query): Asked<SearchQuery>) -> Answer<Response> {
    let after = query.after.as_deref().map(input::key).transpose()?;
    let found = call.queue().caused_by(&Cause::event(id), bounds(&call, &query)?, after.as_ref()).await?;
    let (searched, after) = (found.searched, found.after.as_ref().map(shown::key));
    let items = found.events.into_iter().map(|event| call.shown().found(event));
    // What is left out as it is too much is found by the search that goes on behind the last item.
    let Page { items, next } = pages::of(items, usize::MAX, |event| event.key.clone())?;
    Ok(json(&Found { items, searched, next: next.or(after) }))
}
