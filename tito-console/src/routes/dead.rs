//! Dead letters: list, redrive, purge.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};

use crate::api::{Affected, DeadQuery, Letters, Redriven};
use crate::app::App;
use crate::call::{Call, Destroy, Operate, Read};
use crate::failure::{Answer, json};
use crate::input::{self, Asked, Names, Sent};
use crate::letters;

/// How many dead letters a rehearsal reads at once.
const PAGE: usize = 200;

/// How many dead letters a rehearsal reads at most.
const MOST_READ: usize = 100_000;

/// How many of all are counted.
const MOST_COUNTED: usize = 800;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/queues/{queue}/dead", get(list))
        .route("/queues/{queue}/dead/redrive", post(redrive))
        .route("/queues/{queue}/dead/purge", post(purge))
}

async fn list(call: Call<Read>, Names(queue): Names<String>, Asked(query): Asked<DeadQuery>) -> Answer<Response> {
    let limit = input::limit(query.limit)?;
    let after = query.after.as_deref().map(input::key).transpose()?;
    let found = match query.partition {
        None => call.queue().dead_letters(&queue, limit, after.as_ref()).await?,
        Some(partition) => call.queue().dead_letters_of_partition(&queue, partition, limit, after.as_ref()).await?,
    };
    let letters = found.into_iter().map(|letter| call.shown().dead(&queue, letter)).collect();
    Ok(json(&input::page(letters, limit, |letter| letter.key.clone())))
}

/// How many dead letters are meant, counted up to a bound, and how many of them are no events.
async fn count<R>(call: &Call<R>, queue: &str, meant: &Letters) -> Answer<(Affected, u64)> {
    let (mut affected, mut damaged) = (Affected { dry_run: true, ..Affected::default() }, 0);
    if let Some(key) = meant.key.as_deref().map(input::key).transpose()? {
        let row = call.queue().letter(queue, &key).await?;
        affected.affected = u64::from(row.is_some());
        return Ok((affected, u64::from(row.is_some_and(|letter| letter.event.is_none()))));
    }
    let (mut after, mut read) = (None, 0);
    // Who means all looks for nothing: how many there are about is enough.
    let most = if meant.all { MOST_COUNTED } else { MOST_READ };
    loop {
        let page = call.queue().dead_letters(queue, PAGE, after.as_ref()).await?;
        for letter in &page {
            let key = letter.key.as_bytes();
            let is_meant = letters::are_meant(meant, key, letter.event.as_ref());
            affected.affected += u64::from(is_meant);
            damaged += u64::from(is_meant && letter.event.is_none());
        }
        read += page.len();
        match page.last() {
            Some(last) if page.len() == PAGE && read < most => after = Some(last.key.clone()),
            _ => break,
        }
    }
    affected.at_least = read >= most;
    Ok((affected, damaged))
}

async fn redrive(call: Call<Operate>, Names(queue): Names<String>, Sent(body): Sent<Letters>) -> Answer<Response> {
    letters::check(&body)?;
    if call.is_rehearsal() {
        let (affected, skipped) = count(&call, &queue, &body).await?;
        return Ok(json(&Redriven { events: affected.affected - skipped, skipped, dry_run: true }));
    }
    let redriven = call.change("redrive", &queue, async {
        if let Some(key) = &body.key {
            let is_redriven = call.queue().redrive_letter(&queue, &input::key(key)?).await?;
            return Ok(Redriven { events: u64::from(is_redriven), ..Redriven::default() });
        }
        let chosen = |event: &tito_core::event::TitoEvent| letters::are_meant(&body, &event.key, Some(event));
        let redriven = call.queue().redrive_where(&queue, chosen).await?;
        Ok(Redriven { events: redriven.events, skipped: redriven.skipped, dry_run: false })
    });
    Ok(json(&redriven.await?))
}

async fn purge(call: Call<Destroy>, Names(queue): Names<String>, Sent(body): Sent<Letters>) -> Answer<Response> {
    letters::check(&body)?;
    if call.is_rehearsal() {
        return Ok(json(&count(&call, &queue, &body).await?.0));
    }
    let purged = call.change("purge_dead", &queue, async {
        if let Some(key) = &body.key {
            return Ok(u64::from(call.queue().purge_letter(&queue, &input::key(key)?).await?));
        }
        let chosen =
            |letter: &tito_worker::DeadLetter| letters::are_meant(&body, letter.key.as_bytes(), letter.event.as_ref());
        Ok(call.queue().purge_dead_letters_where(&queue, chosen).await?)
    });
    Ok(json(&Affected { affected: purged.await?, ..Affected::default() }))
}
