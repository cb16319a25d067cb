//! All that belongs to an owner.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};

use crate::api::{OwnerCounts, PageQuery};
use crate::app::App;
use crate::call::{Call, Destroy, Read};
use crate::failure::{Answer, json};
use crate::input::{self, Asked, Names, Nothing, Sent};
use crate::pages;
use crate::shown;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/owners/{owner}", get(keys)).route("/owners/{owner}/erase", post(erase))
}

async fn keys(call: Call<Read>, Names(owner): Names<String>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let limit = input::limit(query.limit)?;
    let after = query.after.as_deref().map(input::key).transpose()?;
    let found = call.queue().owned_by(&owner, limit, after.as_ref()).await?;
    Ok(json(&pages::of(found.iter().map(shown::key), limit, String::clone)?))
}

async fn erase(call: Call<Destroy>, Names(owner): Names<String>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    if call.is_rehearsal() {
        return Ok(json(&counts(call.queue().count_owned(&owner).await?)));
    }
    // Whose it was must not live on in the audit.
    let erased = call.change("erase", "an owner", async { Ok(call.queue().erase_owner(&owner).await?) }).await?;
    Ok(json(&counts(erased)))
}

fn counts(counts: tito_worker::OwnerCounts) -> OwnerCounts {
    OwnerCounts {
        due: counts.due,
        scheduled: counts.scheduled,
        retrying: counts.retrying,
        malformed: counts.malformed,
        dead: counts.dead,
        done: counts.done,
        unique: counts.unique,
        schedules: counts.schedules,
        at_least: counts.at_least,
    }
}
