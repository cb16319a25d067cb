//! Whether the server is live, and whether it is ready.

use std::time::Duration;

use futures::FutureExt;

use crate::api::{Check, Health};
use crate::app::App;
use crate::timely;

/// How long a check may take.
const TIME: Duration = Duration::from_secs(2);

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
    let Health { mut checks, .. } = live(app);
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
    checks.push(check("timestamp", said));
    checks.extend(app.checks.own.iter().map(|(name, is_well)| check(name, is_well())));
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
        checks.push(check(format!("lag of {queue}"), said));
    }
    health(checks)
}
