//! Events and failures, as people read them.

use std::time::Duration;

use chrono::Utc;
use tito_console::api::{Event, FoundIn, PendingState};

use crate::failure::Result;
use crate::output::{Output, Table, duration, moment_of_seconds};

/// A second, and how far away it is.
pub(crate) fn when(second: i64) -> String {
    let away = second.saturating_sub(Utc::now().timestamp());
    let distance = duration(Duration::from_secs(away.unsigned_abs()));
    match away {
        0 => "now".to_string(),
        1.. => format!("{} (in {distance})", moment_of_seconds(second)),
        _ => format!("{} ({distance} ago)", moment_of_seconds(second)),
    }
}

pub(crate) fn state(state: PendingState) -> &'static str {
    match state {
        PendingState::Due => "due",
        PendingState::Scheduled => "scheduled",
        PendingState::Retrying => "retrying",
        PendingState::Malformed => "malformed",
        _ => "in a state that a later version knows",
    }
}

pub(crate) fn found_in(found: FoundIn, of: Option<PendingState>) -> &'static str {
    match found {
        FoundIn::Pending => of.map_or("pending", state),
        FoundIn::Dead => "dead letter",
        FoundIn::Done => "done",
        _ => "in a state that a later version knows",
    }
}

/// The error of the last attempt.
pub(crate) fn last_error(event: &Event) -> String {
    event.failures.last().map(|failure| failure.error.clone()).unwrap_or_default()
}

/// All that is known of an event.
pub(crate) fn event(output: &Output, event: &Event) -> Result<()> {
    output.fields([
        ("id", event.id.to_string()),
        ("type", event.event_type.clone()),
        ("entity", event.entity.clone()),
        ("action", event.action.clone()),
        ("owner", event.owner.clone().unwrap_or_default()),
        ("due", when(event.timestamp)),
        ("not before", event.not_before.map(when).unwrap_or_default()),
        ("failed attempts", event.failed_attempts.to_string()),
        ("deaths", event.deaths.map(|deaths| deaths.to_string()).unwrap_or_default()),
        ("caused by", event.causation_id.clone().unwrap_or_default()),
        ("payload", event.payload.as_ref().map(|payload| payload.get().to_string()).unwrap_or_default()),
        ("progress", event.progress.as_ref().map(|progress| progress.get().to_string()).unwrap_or_default()),
    ])?;
    if let Some(done) = &event.done {
        output.fields([
            ("outcome", done.outcome.clone()),
            ("worker", done.worker.map(|worker| worker.to_string()).unwrap_or_default()),
            ("took", done.duration_millis.map(|millis| duration(Duration::from_millis(millis))).unwrap_or_default()),
        ])?;
    }
    for (name, value) in &event.headers {
        output.fields([("header", format!("{name}: {value}"))])?;
    }
    if !event.failures.is_empty() {
        let mut table = Table::new(["#ATTEMPT", "FAILED", "#TOOK", "WORKER", "ERROR"]);
        for failure in &event.failures {
            table.row([
                failure.attempt.to_string(),
                when(failure.timestamp),
                failure.duration_millis.map(|millis| duration(Duration::from_millis(millis))).unwrap_or_default(),
                failure.worker.map(|worker| worker.to_string()).unwrap_or_default(),
                failure.error.clone(),
            ]);
        }
        output.table(&table, "")?;
    }
    if !event.steps.is_empty() {
        let mut table = Table::new(["#ATTEMPT", "STEP DONE"]);
        for step in &event.steps {
            table.row([step.attempt.to_string(), when(step.timestamp)]);
        }
        output.table(&table, "")?;
    }
    Ok(())
}
