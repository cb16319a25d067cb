//! What workers do, as it happens.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use tito_core::event::topic_of;
use tokio::sync::broadcast::error::RecvError;

use crate::api::{Code, Dropped, WatchQuery, Watched};
use crate::app::App;
use crate::call::{Call, Read};
use crate::failure::{Answer, Failure};
use crate::input::Asked;
use crate::lines::{self, Lines};
use crate::redact::{Part, Redact, Redacted};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/watch", get(watch))
}

/// A line for each thing that happens from now on. Whoever is too slow is told how much was dropped.
async fn watch(call: Call<Read>, Asked(query): Asked<WatchQuery>) -> Answer<Response> {
    let Some(watch) = call.watch() else {
        let message = "this server watches no worker: its application has to say `Console::of(…).watch(…)`";
        return Err(Failure::new(Code::Unsupported, message));
    };
    let (mut happening, database, redact) = (watch.begin(), call.queue().engine.clone(), call.redact().clone());
    let mut rest = query.limit.unwrap_or(u32::MAX);
    Ok(lines::stream(lines::place(call.streams())?, lines::NDJSON, move |lines: Lines| async move {
        while rest > 0 {
            let next = tokio::select! {
                biased;
                error = database.closed() => return lines.fail(error.into()).await,
                next = happening.recv() => next,
            };
            let is_heard = match next {
                Ok(watched) if query.queue.as_ref().is_none_or(|queue| watched.queue == *queue) => {
                    lines.say(&shown(&redact, &watched)).await
                }
                Ok(_) => continue,
                Err(RecvError::Lagged(dropped)) => lines.say(&Dropped { dropped }).await,
                Err(RecvError::Closed) => return,
            };
            if !is_heard {
                return;
            }
            rest -= 1;
        }
    }))
}

fn shown(redact: &Redact, watched: &Watched) -> Watched {
    let topic = topic_of(&watched.queue).0;
    let what = Redacted { of: topic, event_type: topic, part: Part::Error };
    Watched { error: watched.error.clone().map(|error| redact.text(&what, error)), ..watched.clone() }
}
