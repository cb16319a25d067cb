//! PD's pages that clients and their tests read, on the port of its gRPC calls (`server/api` of tikv/pd).
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use tito_tikv_proto::metapb;

use crate::shared::Shared;
use crate::topology::Region;

/// Adds the pages to a member's answers.
pub(crate) fn add_pages(router: Router, shared: Arc<Shared>) -> Router {
    let page = |make: fn(&Shared) -> Value| {
        let shared = shared.clone();
        get(move || async move {
            ([(CONTENT_TYPE, "application/json; charset=UTF-8")], make(&shared).to_string()).into_response()
        })
    };
    router
        .route("/pd/api/v1/regions", page(regions))
        .route("/pd/api/v1/stores", page(stores))
        .route("/pd/api/v1/version", page(version))
        .route("/pd/api/v1/health", page(health))
        .route("/pd/api/v1/members", page(members))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn peer(peer: &metapb::Peer) -> Value {
    json!({ "id": peer.id, "store_id": peer.store_id, "role_name": "Voter" })
}

fn region(region: &Region) -> Value {
    let epoch = region.epoch();
    json!({
        "id": region.id,
        "start_key": hex(&region.range.start),
        "end_key": hex(&region.range.end),
        "epoch": { "conf_ver": epoch.conf_ver, "version": epoch.version },
        "peers": region.peers.iter().map(peer).collect::<Vec<Value>>(),
        "leader": region.leader_peer().as_ref().map(peer),
        "approximate_size": 1,
        "approximate_keys": 0,
    })
}

fn regions(shared: &Shared) -> Value {
    let regions: Vec<Value> = shared.topology().regions_from(b"").map(region).collect();
    json!({ "count": regions.len(), "regions": regions })
}

fn stores(shared: &Shared) -> Value {
    let store = |store: metapb::Store| {
        let told = json!({
            "id": store.id,
            "address": store.address,
            "version": store.version,
            "state_name": "Up",
        });
        json!({ "store": told, "status": {} })
    };
    let stores: Vec<Value> = shared.topology().store_metas().into_iter().map(store).collect();
    json!({ "count": stores.len(), "stores": stores })
}

fn version(shared: &Shared) -> Value {
    json!({ "version": format!("v{}", shared.settings.version.number()), "build_time": "", "hash": "", "branch": "" })
}

fn member(member: &tito_tikv_proto::pdpb::Member) -> Value {
    json!({
        "name": member.name,
        "member_id": member.member_id,
        "peer_urls": member.peer_urls,
        "client_urls": member.client_urls,
    })
}

fn health(shared: &Shared) -> Value {
    let members = shared.pd.get_members(None).members;
    let health = |told: &tito_tikv_proto::pdpb::Member| {
        json!({
            "name": told.name,
            "member_id": told.member_id,
            "client_urls": told.client_urls,
            "health": true,
        })
    };
    members.iter().map(health).collect()
}

fn members(shared: &Shared) -> Value {
    let leader = *shared.pd.leader.borrow();
    let told = shared.pd.get_members(leader);
    json!({
        "members": told.members.iter().map(member).collect::<Vec<Value>>(),
        "leader": told.leader.as_ref().map(member),
    })
}
