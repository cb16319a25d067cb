//! Single events: publish, find, cancel, reschedule, run now.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use tito_core::event::EventReference;
use tito_worker::Publish;
use uuid::Uuid;

use crate::api::{Affected, Due, EventAt, Page, PublishEvent};
use crate::app::App;
use crate::call::{Call, Destroy, Operate, Read};
use crate::failure::{Answer, Failure, json};
use crate::input::{self, Asked, Names, Nothing, Sent};
use crate::shown;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/topics/{topic}/events", post(publish))
        .route("/topics/{topic}/events/{id}", get(find))
        .route("/topics/{topic}/events/{id}/cancel", post(cancel))
        .route("/topics/{topic}/events/{id}/reschedule", post(reschedule))
        .route("/topics/{topic}/events/{id}/run", post(run))
}

async fn publish(call: Call<Operate>, Names(topic): Names<String>, Sent(body): Sent<PublishEvent>) -> Answer<Response> {
    // Publishing creates a topic, which is not an operator's business: a slip of the pen would lie there unserved for ever.
    call.queue().groups(&topic).await?;
    let mut event = Publish::new(topic.as_str(), body.entity);
    if let Some(action) = body.action {
        event = event.action(action);
    }
    if let Some(at) = body.at {
        event = event.at(input::time(at)?);
    }
    for (name, value) in body.headers {
        event = event.header(name, value);
    }
    if let Some(owner) = body.owner {
        event = event.owner(owner);
    }
    if let Some(payload) = body.payload {
        event = event.payload(&payload)?;
    }
    let published = call.change("publish", &topic, async {
        let (queue, event) = (call.queue(), event);
        Ok(queue.engine.transaction(|tx| async move { queue.publish(event, &tx).await }).await?)
    });
    Ok(json(&shown::published(published.await?)))
}

/// Where an event lies, if that was said.
fn reference(topic: &str, id: Uuid, at: &EventAt) -> Answer<Option<EventReference>> {
    match (&at.entity, at.timestamp) {
        (Some(entity), Some(timestamp)) => {
            Ok(Some(EventReference { event_type: topic.to_string(), entity: entity.clone(), timestamp, id }))
        }
        (None, None) => Ok(None),
        _ => Err(Failure::invalid("`entity` and `timestamp` are said together, or neither is")),
    }
}

async fn find(
    call: Call<Read>,
    Names((topic, id)): Names<(String, Uuid)>,
    Asked(at): Asked<EventAt>,
) -> Answer<Response> {
    let found = match reference(&topic, id, &at)? {
        Some(event) => call.queue().find(&event).await?,
        // A search takes long where there is much.
        None => match call.queue().find_pending(&topic, id).await? {
            found if found.is_empty() => call.queue().find_by_id(&topic, id).await?,
            found => found,
        },
    };
    let items: Vec<_> = found.into_iter().map(|found| call.shown().found(found)).collect();
    Ok(json(&Page { items, next: None }))
}

/// The event, where it was said to lie, or where its topic has it.
async fn pending<R, Q>(call: &Call<R, Q>, topic: &str, id: Uuid, at: &EventAt) -> Answer<EventReference> {
    if let Some(event) = reference(topic, id, at)? {
        return Ok(event);
    }
    let mut found = call.queue().find_pending(topic, id).await?;
    if found.is_empty() {
        found = call.queue().find_by_id(topic, id).await?;
    }
    let is_pending = |found: &tito_worker::FoundEvent| matches!(found.found_in, tito_worker::FoundIn::Pending(_));
    let event = found.into_iter().filter(is_pending).find_map(|found| found.event);
    event.map(|event| event.reference()).ok_or_else(|| gone(topic, id))
}

fn gone(topic: &str, id: Uuid) -> Failure {
    Failure::not_found(format!("topic {topic:?} has no event {id} that has not been done"))
}

async fn cancel(
    call: Call<Destroy, EventAt>,
    Names((topic, id)): Names<(String, Uuid)>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Answer<Response> {
    let event = pending(&call, &topic, id, &call.asked).await?;
    if call.is_rehearsal() {
        let found = call.queue().find(&event).await?.len() as u64;
        return Ok(json(&Affected { affected: found, at_least: false, dry_run: true }));
    }
    let of = format!("{topic} {id}");
    let cancelled = call.change("cancel", &of, async {
        let (queue, event) = (call.queue(), &event);
        let cancelled = queue.engine.transaction(|tx| async move { queue.cancel(event, &tx).await }).await?;
        cancelled.then_some(()).ok_or_else(|| gone(&topic, id))
    });
    cancelled.await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}

async fn reschedule(
    call: Call<Operate, EventAt>,
    Names((topic, id)): Names<(String, Uuid)>,
    Sent(body): Sent<Due>,
) -> Answer<Response> {
    postpone(call, "reschedule", topic, id, input::time(body.at)?).await
}

async fn run(
    call: Call<Operate, EventAt>,
    Names((topic, id)): Names<(String, Uuid)>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Answer<Response> {
    postpone(call, "run", topic, id, DateTime::<Utc>::UNIX_EPOCH).await
}

async fn postpone(
    call: Call<Operate, EventAt>,
    what: &'static str,
    topic: String,
    id: Uuid,
    time: DateTime<Utc>,
) -> Answer<Response> {
    let event = pending(&call, &topic, id, &call.asked).await?;
    let of = format!("{topic} {id}");
    let moved = call.change(what, &of, async {
        let (queue, event) = (call.queue(), &event);
        let moved = queue.engine.transaction(|tx| async move { queue.reschedule(event, time, &tx).await }).await?;
        moved.ok_or_else(|| gone(&topic, id))
    });
    Ok(json(&shown::published(moved.await?)))
}
