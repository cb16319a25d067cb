//! Requests that take too long are ended, and those that are too many refused.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::Code;
use crate::app::App;
use crate::failure::Failure;
use crate::input;
use crate::timely::within;

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
