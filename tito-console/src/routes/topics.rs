//! Topics: what there is, their partitions and groups.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post, put};
use tito_core::event::Topic;

use crate::api::{Affected, Code, GroupStart, Kept, KeptLetters, NewGroup, PageQuery, Resize, Role};
use crate::app::App;
use crate::call::{Call, Destroy, Operate, Read};
use crate::failure::{Answer, Failure, json};
use crate::input::{self, Asked, Names, Nothing, Sent};
use crate::kept;
use crate::pages;
use crate::shown;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/topics", get(list))
        .route("/topics/{topic}", get(one))
        .route("/topics/{topic}/resize", post(resize))
        .route("/topics/{topic}/kept", put(keep))
        .route("/topics/{topic}/groups/{group}", put(add_group).delete(remove_group))
}

async fn list(call: Call<Read>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let limit = input::limit(query.limit)?;
    let topics = call.queue().topics(limit, query.after.as_deref()).await?;
    let topics = topics.into_iter().map(|(name, topic)| shown::topic(name, &topic));
    Ok(json(&pages::of(topics, limit, |topic| topic.name.clone())?))
}

async fn one(call: Call<Read>, Names(name): Names<String>) -> Answer<Response> {
    Ok(json(&topic(&call, &name).await?))
}

async fn topic<R>(call: &Call<R>, name: &str) -> Answer<crate::api::Topic> {
    let found = Topic::find(&call.queue().engine, name).await?;
    match found {
        Some(topic) => Ok(shown::topic(name.to_string(), &topic)),
        // Says which one is the nearest.
        None => match call.queue().groups(name).await {
            Ok(_) => Err(Failure::not_found(format!("there is no topic {name:?}"))),
            Err(error) => Err(error.into()),
        },
    }
}

async fn resize(call: Call<Operate>, Names(name): Names<String>, Sent(body): Sent<Resize>) -> Answer<Response> {
    // The library creates a topic that it is asked to resize.
    topic(&call, &name).await?;
    let resized = call.change("resize", &name, async {
        let resized = call.queue().resize_topic(&name, body.partitions).await?;
        Ok(Affected { affected: resized.moved, ..Affected::default() })
    });
    Ok(json(&resized.await?))
}

async fn keep(call: Call<Operate>, Names(name): Names<String>, Sent(body): Sent<Kept>) -> Answer<Response> {
    // The library creates a topic of which something is to be kept.
    topic(&call, &name).await?;
    let now = Topic::find(&call.queue().engine, &name).await?.unwrap_or_default();
    if kept::shortens(&now, &body) && call.who().role < Role::Destroy {
        return Err(Failure::new(Code::Forbidden, "keeping less than before needs the role destroy"));
    }
    if call.is_rehearsal() {
        return Ok(json(&kept::would_delete(call.queue(), &name, &now, &body).await?));
    }
    call.change("keep", &name, async {
        let (queue, some) = (call.queue(), |number: u64| Some(number).filter(|number| *number > 0));
        if let Some(seconds) = body.history_seconds {
            queue.set_history(&name, some(seconds).map(Duration::from_secs)).await?;
        }
        if let Some(events) = body.history_events {
            queue.set_history_limit(&name, some(events)).await?;
        }
        if let Some(KeptLetters { seconds, events }) = body.dead_letters {
            queue.set_dead_letter_retention(&name, seconds.map(Duration::from_secs), events).await?;
        }
        Ok(())
    })
    .await?;
    Ok(json(&topic(&call, &name).await?))
}

async fn add_group(
    call: Call<Operate>,
    Names((name, group)): Names<(String, String)>,
    Sent(body): Sent<NewGroup>,
) -> Answer<Response> {
    topic(&call, &name).await?;
    let start = match body.start {
        GroupStart::Now => tito_worker::GroupStart::Now,
        GroupStart::History => tito_worker::GroupStart::History,
    };
    let of = tito_core::event::queue_name(&name, Some(&group));
    call.change("add_group", &of, async { Ok(call.queue().add_group(&name, &group, start).await?) }).await?;
    Ok(json(&topic(&call, &name).await?))
}

async fn remove_group(
    call: Call<Destroy>,
    Names((name, group)): Names<(String, String)>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Answer<Response> {
    let of = tito_core::event::queue_name(&name, Some(&group));
    if call.is_rehearsal() {
        // Nothing that it has is left.
        let total = super::queues::counted(&call, &of).await?;
        let affected = total.pending + total.dead + total.done;
        return Ok(json(&Affected { affected, at_least: total.is_capped, dry_run: true }));
    }
    call.change("remove_group", &of, async { Ok(call.queue().remove_group(&name, &group).await?) }).await?;
    Ok(json(&topic(&call, &name).await?))
}
