//! Periodic schedules: list, pause, resume, other times, fire, remove.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{delete, get, post, put};

use crate::api::{Affected, Override, PageQuery, Recurrence};
use crate::app::App;
use crate::call::{Call, Destroy, Operate, Read};
use crate::failure::{Answer, Failure, json};
use crate::input::{self, Asked, Names, Nothing, Sent};
use crate::pages;
use crate::shown;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/schedules", get(list))
        .route("/schedules/{name}", delete(remove))
        .route("/schedules/{name}/pause", post(pause))
        .route("/schedules/{name}/resume", post(resume))
        .route("/schedules/{name}/override", put(overrule).delete(declared))
        .route("/schedules/{name}/fire", post(fire))
}

async fn list(call: Call<Read>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let (limit, call) = (input::limit(query.limit)?, &call);
    let schedules =
        pages::in_steps(limit, query.after, String::clone, move |limit, after: Option<String>| async move {
            let found = call.queue().page_of_schedules(limit, after.as_deref()).await?;
            Ok(found.into_iter().map(|schedule| (schedule.name.clone(), shown::schedule(schedule))).collect())
        });
    Ok(json(&schedules.await?))
}

fn there(name: &str, is_there: bool) -> Answer<()> {
    is_there.then_some(()).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Failure {
    Failure::not_found(format!("there is no schedule {name:?}"))
}

async fn pause(call: Call<Operate>, Names(name): Names<String>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    let pausing = async { there(&name, call.queue().pause_schedule(&name).await?) };
    call.change("pause_schedule", &name, pausing).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}

async fn resume(call: Call<Operate>, Names(name): Names<String>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    let resuming = async { there(&name, call.queue().resume_schedule(&name).await?) };
    call.change("resume_schedule", &name, resuming).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}

async fn overrule(call: Call<Operate>, Names(name): Names<String>, Sent(body): Sent<Override>) -> Answer<Response> {
    let recurrence = match body.recurrence {
        Recurrence::Cron { expression, time_zone } => tito_worker::Recurrence::Cron { expression, time_zone },
        Recurrence::Every { seconds } => tito_worker::Recurrence::Every { seconds },
        Recurrence::Other(text) => {
            return Err(Failure::invalid(format!("{text:?} is no recurrence: `cron` or `every`")));
        }
    };
    let overruling = async { there(&name, call.queue().override_schedule(&name, recurrence).await?) };
    call.change("override_schedule", &name, overruling).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}

async fn declared(
    call: Call<Operate>,
    Names(name): Names<String>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Answer<Response> {
    let clearing = async { there(&name, call.queue().clear_schedule_override(&name).await?) };
    call.change("clear_override", &name, clearing).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}

async fn fire(call: Call<Operate>, Names(name): Names<String>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    let fired = call.change("fire", &name, async {
        let event = call.queue().fire_now(&name).await?;
        event.ok_or_else(|| missing(&name))
    });
    Ok(json(&shown::published(fired.await?)))
}

async fn remove(call: Call<Destroy>, Names(name): Names<String>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    if call.is_rehearsal() {
        let is_there = call.queue().has_schedule(&name).await?;
        return Ok(json(&Affected { affected: u64::from(is_there), at_least: false, dry_run: true }));
    }
    let removing = async { there(&name, call.queue().remove_schedule(&name).await?) };
    call.change("remove_schedule", &name, removing).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}
