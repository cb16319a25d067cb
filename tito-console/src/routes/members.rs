//! Who works, and who is to leave.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use uuid::Uuid;

use crate::api::{Affected, PageQuery};
use crate::app::App;
use crate::call::{Call, Operate, Read};
use crate::failure::{Answer, json};
use crate::input::{Asked, Names, Nothing, Sent};
use crate::pages;
use crate::shown;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/fleets", get(fleets))
        .route("/fleets/{fleet}/members", get(list))
        .route("/workers", get(workers))
        .route("/workers/{worker}/retire", post(retire))
}

async fn list(call: Call<Read>, Names(fleet): Names<String>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let members = call.queue().members(&fleet).await?.into_iter().map(shown::member).collect();
    Ok(json(&pages::by(members, &query, |member| Began(member.started_millis, member.id))?))
}

async fn fleets(call: Call<Read>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let fleets = call.queue().fleets().await?.into_iter().map(shown::fleet).collect();
    Ok(json(&pages::by(fleets, &query, |fleet| fleet.name.clone())?))
}

async fn workers(call: Call<Read>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let workers = call.queue().workers().await?.into_iter().map(shown::worker).collect();
    Ok(json(&pages::by(workers, &query, |worker| Began(worker.started_millis, worker.id))?))
}

/// When somebody began to work, and who: what they are listed by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Began(i64, Uuid);

impl fmt::Display for Began {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for Began {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (millis, id) = text.split_once('.').ok_or(())?;
        Ok(Self(millis.parse().map_err(drop)?, id.parse().map_err(drop)?))
    }
}

async fn retire(call: Call<Operate>, Names(worker): Names<Uuid>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    let retiring = async { Ok(call.queue().retire(worker).await?) };
    call.change("retire", &worker.to_string(), retiring).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}
