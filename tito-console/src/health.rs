//! Whether the server is live, and whether it is ready.

use std::time::Duration;

use futures::FutureExt;

use crate::api::{Check, Health};
use crate::app::App;
use crate::checks::AskedChecks;
use crate::timely;

/// How long a check may take.
const TIME: Duration = Duration::from_secs(2);

/// How long what was asked of the engine is told again, in milliseconds.
const SHARED_MILLIS: u64 = 1_000;

fn health(checks: Vec<Check>) -> Health {
    Health { is_well: checks.iter().all(|check| check.is_well), checks }
}

fn check(name: impl Into<String>, said: Result<(), String>) -> Check {
    Check { name: name.into(), is_well: said.is_ok(), text: said.err().unwrap_or_default() }
}

/// The engine is open.
pub(crate) fn live(app: &App) -> Health {
    let is_open = app.database.closed().now_or_never().is_none();
    let said = is_open.then_some(()).ok_or_else(|| "it is closed".to_string());
    health(vec![check("engine", said)])
}

/// The engine answers, and everything that the application has asked for is well.
pub(crate) async fn ready(app: &App) -> Health {
    let Health { mut checks, is_well } = live(app);
    let own = app.checks.own.iter().map(|(name, is_well)| check(name, is_well()));
    // What costs something is shared by all who ask within a second, and asked for once at a time.
    let mut shared = app.checks.asked.lock().await;
    let now = app.database.clock().monotonic_millis();
    let asked = match shared.take() {
        Some(asked) if is_well && now.saturating_sub(asked.at_millis) < SHARED_MILLIS => asked,
        _ => asked(app, now).await,
    };
    checks.push(asked.timestamp.clone());
    checks.extend(own);
    checks.extend(asked.lags.iter().cloned());
    *shared = Some(asked);
    health(checks)
}

/// The checks that ask the engine.
async fn asked(app: &App, at_millis: u64) -> AskedChecks {
    // On a cluster PD hands timestamps out.
    let said = match timely::within(&app.database, TIME, app.database.timestamp()).await {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => {
            // Whoever asks may be anybody; what it is exactly is in the log.
            tracing::warn!(%error, "the engine could not give a timestamp");
            Err("it gives no timestamp".to_string())
        }
        None => Err(format!("it gives no timestamp within {TIME:?}")),
    };
    let timestamp = check("timestamp", said);
    let mut lags = Vec::new();
    for (queue, most) in &app.checks.lags {
        // The first of each partition is the one that is due for longest.
        let said = match timely::within(&app.database, TIME, app.queue.stats_up_to(queue, 1)).await {
            Some(Ok(stats)) => match stats.total.oldest_due {
                Some(age) if age > *most => Err(format!("an event has been due for {age:?}")),
                _ => Ok(()),
            },
            Some(Err(error)) => {
                tracing::warn!(%error, queue, "the lag of a queue could not be found out");
                Err("it can't be told".to_string())
            }
            None => Err(format!("it can't be told within {TIME:?}")),
        };
        lags.push(check(format!("lag of {queue}"), said));
    }
    AskedChecks { at_millis, timestamp, lags }
}
