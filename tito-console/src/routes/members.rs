//! Who works, and who is to leave.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use tito_worker::WorkerPlace;
use uuid::Uuid;

use crate::api::{Affected, PageQuery};
use crate::app::App;
use crate::call::{Call, Operate, Read};
use crate::failure::{Answer, json};
use crate::input::{self, Asked, Names, Nothing, Sent};
use crate::pages::{self, Filling};
use crate::shown;

/// How many rows of workers and of members a page may look at, however few it is to have.
const LOOKED_AT: usize = 50;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/fleets", get(fleets))
        .route("/fleets/{fleet}/members", get(list))
        .route("/workers", get(workers))
        .route("/workers/{worker}/retire", post(retire))
}

async fn list(call: Call<Read>, Names(fleet): Names<String>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let (limit, after) = (input::limit(query.limit)?, pages::place::<Uuid>(&query)?);
    let (call, fleet) = (&call, fleet.as_str());
    let members = pages::in_steps(limit, after, Uuid::to_string, move |limit, after| async move {
        let found = call.queue().page_of_members(fleet, limit, after).await?;
        Ok(found.into_iter().map(|member| (member.id, shown::member(member))).collect())
    });
    Ok(json(&members.await?))
}

async fn fleets(call: Call<Read>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let fleets = call.queue().fleets().await?.into_iter().map(shown::fleet).collect();
    Ok(json(&pages::by(fleets, &query, |fleet| fleet.name.clone())?))
}

async fn workers(call: Call<Read>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let limit = input::limit(query.limit)?;
    let (mut filling, mut place) = (Filling::new(limit), pages::place::<Place>(&query)?);
    // Members that are registered make no items: no page looks at many of them.
    let mut looked_at = 0;
    while looked_at < 2 * limit.max(LOOKED_AT) {
        let step = filling.step();
        looked_at += step;
        let page = call.queue().page_of_workers(step, place.as_ref().map(|place| &place.0)).await?;
        for (place, worker) in page.workers {
            if filling.is_full() {
                break;
            }
            filling.add(&shown::worker(worker), || Place(place).to_string())?;
        }
        place = page.next.map(Place);
        if filling.is_full() || place.is_none() {
            break;
        }
    }
    if let Some(place) = place.filter(|_| !filling.is_full()) {
        filling.end_at(place.to_string());
    }
    Ok(json(&filling.page()))
}

/// A worker's place in the listing of all: its id, and where it is listed as a member the fleet behind it.
struct Place(WorkerPlace);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            WorkerPlace::Registered(id) => write!(f, "{id}"),
            WorkerPlace::Member { fleet, id } => write!(f, "{id}.{fleet}"),
        }
    }
}

impl FromStr for Place {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Ok(Self(match text.split_once('.') {
            None => WorkerPlace::Registered(text.parse()?),
            Some((id, fleet)) => WorkerPlace::Member { fleet: fleet.to_string(), id: id.parse()? },
        }))
    }
}

async fn retire(call: Call<Operate>, Names(worker): Names<Uuid>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    let retiring = async { Ok(call.queue().retire(worker).await?) };
    call.change("retire", &worker.to_string(), retiring).await?;
    Ok(json(&Affected { affected: 1, ..Affected::default() }))
}
