//! What is asked for where: a file for each kind of thing.

mod dead;
mod events;
mod members;
mod queues;
mod schedules;
mod topics;

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;

use crate::api::Code;
use crate::app::App;
use crate::failure::Failure;
use crate::timely;

pub(crate) fn router(app: Arc<App>) -> Router {
    let all = Router::new()
        .merge(topics::routes())
        .merge(queues::routes())
        .merge(events::routes())
        .merge(dead::routes())
        .merge(schedules::routes())
        .merge(members::routes());
    Router::new()
        .nest("/v1", all)
        .fallback(nothing)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(app.clone(), timely::bounded))
        .with_state(app)
}

async fn nothing(uri: Uri) -> impl IntoResponse {
    Failure::not_found(format!("there is nothing at {:?}", uri.path()))
}

async fn no_method(uri: Uri) -> impl IntoResponse {
    Failure::new(Code::MethodNotAllowed, format!("{:?} takes other methods", uri.path()))
}
