//! Who works.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;

use crate::api::Page;
use crate::app::App;
use crate::call::{Call, Read};
use crate::failure::{Answer, json};
use crate::input::Names;
use crate::shown;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/fleets/{fleet}/members", get(list))
}

async fn list(call: Call<Read>, Names(fleet): Names<String>) -> Answer<Response> {
    let items: Vec<_> = call.queue().members(&fleet).await?.into_iter().map(shown::member).collect();
    Ok(json(&Page { items, next: None }))
}
