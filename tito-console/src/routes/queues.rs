//! Queues, a topic's own or a group's: counts, what is pending, what was done, pause, resume, purge, replay.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post, put};
use chrono::{DateTime, Utc};
use tito_core::KeyText;
use tito_core::event::{QueueLimits, Rate};
use tito_worker::Counts;

use crate::api::{Affected, HistoryQuery, Limits, PageQuery, Pause, Replay, Replayed, StatsQuery};
use crate::app::App;
use crate::call::{Call, Destroy, Operate, Read};
use crate::failure::{Answer, Failure, json};
use crate::input::{self, Asked, Names, Nothing, Sent};
use crate::pages;
use crate::shown;

/// How many rows are counted, unless asked otherwise.
const COUNTED: usize = 400;

/// How many rows are read to say how much would be purged.
const REHEARSED: usize = 900;

/// How many events of a kind are counted in each partition at most.
const MOST_COUNTED: u32 = 10_000;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/queues/{queue}/stats", get(stats))
        .route("/queues/{queue}/events", get(pending))
        .route("/queues/{queue}/history", get(history))
        .route("/queues/{queue}/leases", get(leases))
        .route("/queues/{queue}/pause", post(pause))
        .route("/queues/{queue}/limits", put(limit))
        .route("/queues/{queue}/resume", post(resume))
        .route("/queues/{queue}/purge", post(purge))
        .route("/queues/{queue}/replay", post(replay))
}

async fn stats(call: Call<Read>, Names(queue): Names<String>, Asked(query): Asked<StatsQuery>) -> Answer<Response> {
    let stats = match query.limit {
        None => call.queue().stats_of_rows(&queue, COUNTED).await?,
        Some(limit @ 1..=MOST_COUNTED) => call.queue().stats_up_to(&queue, u64::from(limit)).await?,
        Some(limit) => {
            return Err(Failure::invalid(format!("a `limit` of {limit} can't be used: expected 1 to {MOST_COUNTED}")));
        }
    };
    let backlog = call.queue().backlog(&queue).await?;
    Ok(json(&shown::stats(stats, backlog)))
}

async fn pending(call: Call<Read>, Names(queue): Names<String>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let limit = input::limit(query.limit)?;
    let after = query.after.as_deref().map(input::key).transpose()?;
    let (call, queue) = (&call, queue.as_str());
    let events = pages::in_steps(limit, after, shown::key, move |limit, after: Option<KeyText>| async move {
        let found = call.queue().peek(queue, limit, after.as_ref()).await?;
        Ok(found.into_iter().map(|event| (event.key.clone(), call.shown().pending(queue, event))).collect())
    });
    Ok(json(&events.await?))
}

/// From one time on and before another, all of time unless said otherwise.
fn times(from: Option<i64>, before: Option<i64>) -> Answer<std::ops::Range<DateTime<Utc>>> {
    let from = from.map_or(Ok(DateTime::<Utc>::UNIX_EPOCH), input::time)?;
    Ok(from..before.map_or(Ok(DateTime::<Utc>::MAX_UTC), input::time)?)
}

async fn history(call: Call<Read>, Names(queue): Names<String>, Asked(query): Asked<HistoryQuery>) -> Answer<Response> {
    let (limit, times) = (input::limit(query.limit)?, times(query.from, query.before)?);
    let after = query.after.as_deref().map(input::key).transpose()?;
    let (call, queue, times) = (&call, queue.as_str(), &times);
    let events = pages::in_steps(limit, after, shown::key, move |limit, after: Option<KeyText>| async move {
        let found = call.queue().history(queue, times.clone(), limit, after.as_ref()).await?;
        Ok(found.into_iter().map(|event| (event.key.clone(), call.shown().done(queue, event))).collect())
    });
    Ok(json(&events.await?))
}

async fn leases(call: Call<Read>, Names(queue): Names<String>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let (limit, after) = (input::limit(query.limit)?, pages::place::<u16>(&query)?);
    let (call, queue) = (&call, queue.as_str());
    let leases = pages::in_steps(limit, after, u16::to_string, move |limit, after| async move {
        let found = call.queue().page_of_leases(queue, limit, after).await?;
        Ok(found.into_iter().map(|lease| (lease.partition, shown::lease(lease))).collect())
    });
    Ok(json(&leases.await?))
}

async fn pause(call: Call<Operate>, Names(queue): Names<String>, Sent(body): Sent<Pause>) -> Answer<Response> {
    let until = body.until.map(input::time).transpose()?;
    let pausing = async {
        match until {
            None => call.queue().pause(&queue).await?,
            Some(until) => call.queue().pause_until(&queue, until).await?,
        }
        Ok(())
    };
    call.change("pause", &queue, pausing).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}

async fn limit(call: Call<Operate>, Names(queue): Names<String>, Sent(body): Sent<Limits>) -> Answer<Response> {
    let is_none = body.concurrency == Some(0) || body.rate.is_some_and(|rate| rate.events == 0 || rate.seconds == 0);
    if is_none {
        return Err(Failure::invalid("a limit of 0 can't be used: pause the queue"));
    }
    let mut limits = QueueLimits::default();
    if let Some(rate) = body.rate {
        limits = limits.rate(Rate { events: rate.events, seconds: rate.seconds });
    }
    if let Some(handlers) = body.concurrency {
        limits = limits.concurrency(handlers);
    }
    call.change("limit", &queue, async { Ok(call.queue().set_limits(&queue, limits).await?) }).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}

async fn resume(call: Call<Operate>, Names(queue): Names<String>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    call.change("resume", &queue, async { Ok(call.queue().resume(&queue).await?) }).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}

/// How much there is in a queue, counted up to a bound.
pub(super) async fn counted(call: &Call<Destroy>, queue: &str) -> Answer<Counts> {
    Ok(call.queue().stats_of_rows(queue, REHEARSED).await?.total)
}

async fn purge(call: Call<Destroy>, Names(queue): Names<String>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    if call.is_rehearsal() {
        let total = counted(&call, &queue).await?;
        return Ok(json(&Affected { affected: total.pending, at_least: total.is_capped, dry_run: true }));
    }
    let purged = call.change("purge", &queue, async { Ok(call.queue().purge(&queue).await?) }).await?;
    Ok(json(&Affected { affected: purged, ..Affected::default() }))
}

async fn replay(call: Call<Operate>, Names(queue): Names<String>, Sent(body): Sent<Replay>) -> Answer<Response> {
    let times = times(body.from, body.before)?;
    let of = format!("{queue} into {}", body.into);
    let replayed =
        call.change("replay", &of, async { Ok(call.queue().replay(&queue, times, &body.into).await?) }).await?;
    Ok(json(&Replayed { events: replayed.events, skipped: replayed.skipped }))
}
