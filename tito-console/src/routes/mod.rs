//! What is asked for where: a file for each kind of thing.

mod dead;
mod engine;
mod events;
mod explain;
mod health;
mod indexes;
mod members;
mod operations;
mod owners;
mod queues;
mod schedules;
mod stores;
mod topics;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;

use crate::api::Code;
use crate::app::App;
use crate::bounded::bounded;
use crate::failure::Failure;

pub(crate) fn router(app: Arc<App>) -> Router {
    let all = Router::new()
        .merge(topics::routes())
        .merge(queues::routes())
        .merge(events::routes())
        .merge(dead::routes())
        .merge(schedules::routes())
        .merge(explain::routes())
        .merge(members::routes())
        .merge(operations::routes())
        .merge(owners::routes())
        .merge(stores::routes())
        .merge(engine::routes())
        .merge(indexes::routes())
        .merge(watch::routes());
    Router::new()
        .nest("/v1", all)
        .fallback(nothing)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(app.clone(), bounded))
        // Not bounded with the others: a busy server is live.
        .merge(health::routes())
        .with_state(app)
}

async fn nothing(uri: Uri) -> impl IntoResponse {
    Failure::not_found(format!("there is nothing at {:?}", uri.path()))
}

async fn no_method(uri: Uri) -> impl IntoResponse {
    Failure::new(Code::MethodNotAllowed, format!("{:?} takes other methods", uri.path()))
}
