//! What takes too long is ended.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tito_core::Database;

use crate::api::Code;
use crate::app::App;
use crate::failure::Failure;
use crate::input;

/// What it comes to within some time by the database's clock; `None`, and it is dropped, if it takes longer.
pub(crate) async fn within<T>(database: &Database, time: Duration, run: impl Future<Output = T>) -> Option<T> {
    let clock = database.clock();
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let end = clock.wait_until_monotonic(clock.monotonic_millis().saturating_add(millis));
    let run = pin!(run);
    tokio::select! {
        biased;
        done = run => Some(done),
        () = end => None,
    }
}

/// Ends a request that takes longer than its kind may, and refuses one of too many.
pub(crate) async fn bounded(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = app.calls.try_acquire() else {
        let calls = app.limits.calls;
        return Failure::new(Code::Busy, format!("{calls} requests are under way, no more are taken"))
            .retryable()
            .into_response();
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let time = if is_read { app.limits.read_time } else { app.limits.change_time };
    let (mut parts, body) = request.into_parts();
    let of = input::of_path(&mut parts).await;
    match within(&app.database, time, next.run(Request::from_parts(parts, body))).await {
        // What others have said of stored bytes is only shown as the application wants it to be.
        Some(mut response) => match response.extensions_mut().remove::<Failure>() {
            Some(failure) => failure.redacted(&app.redact, &of).into_response(),
            None => response,
        },
        None => {
            let message = if is_read {
                format!("it took longer than {time:?}: ask for less")
            } else {
                format!("it took longer than {time:?}: part of it may be done, and the same call goes on")
            };
            Failure::new(Code::TimedOut, message).retryable().into_response()
        }
    }
}
