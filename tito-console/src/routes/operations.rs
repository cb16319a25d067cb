//! Operations: what takes long, and is done by any worker.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use tito_core::event::topic_of;
use tito_worker::{EventFilter, OperationInfo, OperationTask};
use uuid::Uuid;

use crate::api::{Affected, Chosen, Code, NewOperation, Operation, PageQuery, Rate, Role, Task};
use crate::app::App;
use crate::call::{Call, Operate, Read};
use crate::failure::{Answer, Failure, json};
use crate::input::{self, Asked, Names, Nothing, Sent};
use crate::pages;
use crate::redact::{Part, Redact, Redacted};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/operations", get(list).post(begin))
        .route("/operations/{operation}", get(one))
        .route("/operations/{operation}/stop", post(stop))
}

/// What a step of an operation said of its failure is its application's own.
pub(super) fn shown(redact: &Redact, info: OperationInfo) -> Operation {
    let of = match &info.task {
        OperationTask::Redrive { queue, .. }
        | OperationTask::PurgeDeadLetters { queue, .. }
        | OperationTask::Purge { queue, .. } => topic_of(queue).0,
        OperationTask::Replay { from, .. } => topic_of(from).0,
        OperationTask::Named { name, .. } => name,
        OperationTask::Reindex { table, .. } => table,
        OperationTask::Rebuild { store, .. } => store,
        _ => "",
    };
    let failure = info.failure.map(|error| redact.text(&Redacted { of, event_type: of, part: Part::Error }, error));
    let state = serde_json::to_value(info.state).ok();
    Operation {
        id: info.id,
        who: info.who,
        why: info.why,
        task: serde_json::to_value(info.task).unwrap_or_default(),
        rate: info.rate.map(|rate| Rate { events: rate.events, seconds: rate.seconds }),
        state: state.and_then(|state| state.as_str().map(str::to_string)).unwrap_or_default(),
        failure,
        done: info.done,
        searched: info.searched,
        at_least: info.at_least,
        skipped: info.skipped,
        started_at: info.started_at.timestamp(),
        changed_at: info.changed_at.timestamp(),
        ended_at: info.ended_at.map(|time| time.timestamp()),
    }
}

async fn list(call: Call<Read>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let limit = input::limit(query.limit)?;
    let no_id = |text: &str| Failure::invalid(format!("{text:?} names no operation"));
    let before = query.after.as_deref().map(|text| text.parse::<Uuid>().map_err(|_| no_id(text))).transpose()?;
    let call = &call;
    let operations = pages::in_steps(limit, before, Uuid::to_string, move |limit, before| async move {
        let found = call.queue().operations().list(limit, before).await?;
        Ok(found.into_iter().map(|operation| (operation.id, shown(call.redact(), operation))).collect())
    });
    Ok(json(&operations.await?))
}

async fn one(call: Call<Read>, Names(id): Names<Uuid>) -> Answer<Response> {
    Ok(json(&shown(call.redact(), call.queue().operations().get(id).await?)))
}

/// The task as the library takes it, which means everything by saying nothing.
fn stored(task: Task) -> Answer<OperationTask> {
    Ok(match task {
        Task::Redrive { queue, letters, in_order } => {
            OperationTask::Redrive { queue, letters: filter(letters)?, in_order }
        }
        Task::PurgeDeadLetters { queue, letters } => {
            OperationTask::PurgeDeadLetters { queue, letters: filter(letters)? }
        }
        Task::Purge { queue, events } => OperationTask::Purge { queue, events: filter(events)? },
        Task::Replay { from, into, since, until, in_order } => {
            OperationTask::Replay { from, into, since, until, in_order }
        }
        Task::Reindex { table, index } => OperationTask::Reindex { table, index },
        Task::Rebuild { store, projection } => OperationTask::Rebuild { store, projection },
        Task::Resume {} => OperationTask::Resume,
        Task::Named { name, input } => OperationTask::Named { name, input },
    })
}

fn filter(chosen: Chosen) -> Answer<EventFilter> {
    let Chosen { all, entity, action, error, fingerprint, from: since, before: until } = chosen;
    let filter = EventFilter { entity, action, error, fingerprint, since, until };
    match (all, filter == EventFilter::default()) {
        (true, true) | (false, false) => Ok(filter),
        (false, true) => Err(Failure::invalid(
            "say which events: some of `entity`, `action`, `error`, `fingerprint`, `from`, `before`, or `all`",
        )),
        (true, false) => Err(Failure::invalid("`all` can't be said beside anything else")),
    }
}

async fn begin(call: Call<Operate>, Sent(body): Sent<NewOperation>) -> Answer<Response> {
    let task: Task = serde_path_to_error::deserialize(body.task)
        .map_err(|error| Failure::invalid(format!("the task can't be used, at {}: {}", error.path(), error.inner())))?;
    let task = stored(task)?;
    // What deletes for good takes whoever may, however it is asked for. What an application does it may say itself.
    let deletes = !matches!(
        task,
        OperationTask::Redrive { .. }
            | OperationTask::Replay { .. }
            | OperationTask::Reindex { .. }
            | OperationTask::Rebuild { .. }
            | OperationTask::Resume
    );
    if deletes && call.who().role < Role::Destroy {
        return Err(Failure::new(Code::Forbidden, "this operation needs the role destroy"));
    }
    if call.is_rehearsal() {
        return match call.queue().operations().rehearse(&task).await? {
            Some(counted) => {
                Ok(json(&Affected { affected: counted.events, at_least: counted.at_least, dry_run: true }))
            }
            None => Err(Failure::invalid("how much this would affect can't be told: ask without `dry_run`")),
        };
    }
    if body.rate.is_some_and(|rate| rate.events == 0 || rate.seconds == 0) {
        return Err(Failure::invalid("a rate of 0 can't be used"));
    }
    let of = serde_json::to_string(&task).unwrap_or_default();
    let mut operation = tito_worker::Operation::new(task, &call.operator());
    if let Some(rate) = body.rate {
        operation = operation.rate(tito_core::event::Rate { events: rate.events, seconds: rate.seconds });
    }
    let beginning = async { Ok(call.queue().operations().start(operation).await?) };
    let id = call.change("begin_operation", &of, beginning).await?;
    Ok(json(&shown(call.redact(), call.queue().operations().get(id).await?)))
}

async fn stop(call: Call<Operate>, Names(id): Names<Uuid>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    let stopping = async { Ok(call.queue().operations().stop(id).await?) };
    let is_stopped = call.change("stop_operation", &id.to_string(), stopping).await?;
    Ok(json(&Affected { affected: u64::from(is_stopped), ..Affected::default() }))
}
