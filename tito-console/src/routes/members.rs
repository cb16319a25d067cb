//! Who works, and who is to leave.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use uuid::Uuid;

use crate::api::{Affected, Page};
use crate::app::App;
use crate::call::{Call, Operate, Read};
use crate::failure::{Answer, json};
use crate::input::{Names, Nothing, Sent};
use crate::shown;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/fleets", get(fleets))
        .route("/fleets/{fleet}/members", get(list))
        .route("/workers", get(workers))
        .route("/workers/{worker}/retire", post(retire))
}

async fn list(call: Call<Read>, Names(fleet): Names<String>) -> Answer<Response> {
    let items: Vec<_> = call.queue().members(&fleet).await?.into_iter().map(shown::member).collect();
    Ok(json(&Page { items, next: None }))
}

async fn fleets(call: Call<Read>) -> Answer<Response> {
    let items: Vec<_> = call.queue().fleets().await?.into_iter().map(shown::fleet).collect();
    Ok(json(&Page { items, next: None }))
}

async fn workers(call: Call<Read>) -> Answer<Response> {
    let items: Vec<_> = call.queue().workers().await?.into_iter().map(shown::worker).collect();
    Ok(json(&Page { items, next: None }))
}

async fn retire(call: Call<Operate>, Names(worker): Names<Uuid>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    let retiring = async { Ok(call.queue().retire(worker).await?) };
    call.change("retire", &worker.to_string(), retiring).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}
