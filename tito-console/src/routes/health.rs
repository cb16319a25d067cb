//! Live and ready, which need no token: whoever starts and stops programs asks them.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use crate::api::Health;
use crate::app::App;
use crate::failure::json;
use crate::health;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/live", get(live)).route("/ready", get(ready))
}

async fn live(State(app): State<Arc<App>>) -> Response {
    shown(&health::live(&app))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    shown(&health::ready(&app).await)
}

fn shown(health: &Health) -> Response {
    let mut response = json(health);
    if !health.is_well {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
