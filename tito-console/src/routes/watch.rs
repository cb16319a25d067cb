//! What is published and what workers do, as it happens.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use tito_core::engine::{HeardPublished, PublishedEvent};
use tito_core::event::topic_of;
use tokio::sync::broadcast::error::RecvError;

use crate::api::{Code, Dropped, Happened, NotShown, WatchQuery, Watched};
use crate::app::App;
use crate::call::{Call, Read};
use crate::failure::{Answer, Failure};
use crate::input::Asked;
use crate::lines::{self, Lines};
use crate::redact::{Part, Redact, Redacted};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/watch", get(watch))
}

/// Something that was heard.
enum Heard {
    Something(Arc<Watched>),
    Dropped(u64),
}

/// A line for each thing that happens from now on. Whoever is too slow is told how much was dropped.
async fn watch(call: Call<Read>, Asked(query): Asked<WatchQuery>) -> Answer<Response> {
    let Some(watch) = call.watch() else {
        let message = "this server watches no worker: its application has to say `Console::of(…).watch(…)`";
        return Err(Failure::new(Code::Unsupported, message));
    };
    let (mut happening, database, redact) = (watch.begin(), call.queue().engine.clone(), call.redact().clone());
    // Where other processes publish too, what this one does would be taken for all.
    let hears_all = database.is_only_writer();
    let mut published = database.shared().watch_published();
    let mut rest = query.limit.unwrap_or(u32::MAX);
    Ok(lines::stream(lines::place(call.streams())?, call.heartbeat(), move |lines: Lines| async move {
        if !hears_all && !lines.say(&NotShown { not_shown: vec![Happened::Published] }).await {
            return;
        }
        while rest > 0 {
            let heard = tokio::select! {
                biased;
                error = database.closed() => return lines.fail(error.into()).await,
                // Before what is done with it, as far as both are known.
                next = published.next(), if hears_all => match next {
                    HeardPublished::Event(event) => Heard::Something(Arc::new(of_published(event))),
                    HeardPublished::Dropped(dropped) => Heard::Dropped(dropped),
                },
                next = happening.recv() => match next {
                    Ok(watched) => Heard::Something(watched),
                    Err(RecvError::Lagged(dropped)) => Heard::Dropped(dropped),
                    Err(RecvError::Closed) => return,
                },
            };
            let is_heard = match heard {
                Heard::Something(watched) if query.queue.as_ref().is_none_or(|queue| watched.queue == *queue) => {
                    lines.say(&shown(&redact, &watched)).await
                }
                Heard::Something(_) => continue,
                Heard::Dropped(dropped) => lines.say(&Dropped { dropped }).await,
            };
            if !is_heard {
                return;
            }
            rest -= 1;
        }
    }))
}

fn of_published(event: PublishedEvent) -> Watched {
    Watched {
        what: Happened::Published,
        queue: event.queue.to_string(),
        id: event.id,
        entity: event.entity,
        attempt: 0,
        fate: None,
        duration_millis: None,
        error: None,
        due: Some(event.due),
    }
}

fn shown(redact: &Redact, watched: &Watched) -> Watched {
    let topic = topic_of(&watched.queue).0;
    let what = Redacted { of: topic, event_type: topic, part: Part::Error };
    Watched { error: watched.error.clone().map(|error| redact.text(&what, error)), ..watched.clone() }
}
