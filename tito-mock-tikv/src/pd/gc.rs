//! PD's garbage collection calls. All keyspaces share one state.
use tito_tikv_proto::pdpb::*;

use super::service::{Answer, failed};
use crate::shared::Shared;

/// The time in seconds since the epoch.
fn now(shared: &Shared) -> i64 {
    (shared.oracle.now() / 1000) as i64
}

pub(super) fn update_gc(shared: &Shared, request: &UpdateGcSafePointRequest) -> Answer<UpdateGcSafePointResponse> {
    let mut points = shared.pd.safe_points();
    if points.update_gc(request.safe_point) {
        shared.storage.collect_garbage(request.safe_point);
    }
    Ok(Ok(UpdateGcSafePointResponse { new_safe_point: points.gc(), ..Default::default() }))
}

pub(super) fn update_service(
    shared: &Shared,
    request: &UpdateServiceGcSafePointRequest,
) -> Answer<UpdateServiceGcSafePointResponse> {
    let now = now(shared);
    let mut points = shared.pd.safe_points();
    let minimum = points.update_service(&request.service_id, request.safe_point, request.ttl, now);
    Ok(Ok(UpdateServiceGcSafePointResponse {
        service_id: minimum.service,
        ttl: minimum.ttl,
        min_safe_point: minimum.safe_point,
        ..Default::default()
    }))
}

pub(super) fn advance_gc(shared: &Shared, request: &AdvanceGcSafePointRequest) -> Answer<AdvanceGcSafePointResponse> {
    let mut points = shared.pd.safe_points();
    Ok(points.advance_gc(request.target).map_err(failed).map(|moved| {
        if moved.from < moved.to {
            shared.storage.collect_garbage(moved.to);
        }
        AdvanceGcSafePointResponse { old_gc_safe_point: moved.from, new_gc_safe_point: moved.to, ..Default::default() }
    }))
}

pub(super) fn advance_transactions(
    shared: &Shared,
    request: &AdvanceTxnSafePointRequest,
) -> Answer<AdvanceTxnSafePointResponse> {
    let now = now(shared);
    let moved = shared.pd.safe_points().advance_transactions(request.target, now);
    Ok(moved.map_err(failed).map(|moved| {
        let blocker = moved.blocker.map(|id| format!("GCBarrier {{ BarrierID: \"{}\" }}", id.escape_ascii()));
        AdvanceTxnSafePointResponse {
            old_txn_safe_point: moved.from,
            new_txn_safe_point: moved.to,
            blocker_description: blocker.unwrap_or_default(),
            ..Default::default()
        }
    }))
}

pub(super) fn set_barrier(shared: &Shared, request: &SetGcBarrierRequest) -> Answer<SetGcBarrierResponse> {
    let now = now(shared);
    let id = request.barrier_id.as_bytes();
    let set = shared.pd.safe_points().set_barrier(id, request.barrier_ts, request.ttl_seconds, now);
    Ok(set.map_err(failed).map(|barrier| SetGcBarrierResponse {
        new_barrier_info: Some(info(id, barrier.timestamp, barrier.ttl(now))),
        ..Default::default()
    }))
}

pub(super) fn delete_barrier(shared: &Shared, request: &DeleteGcBarrierRequest) -> Answer<DeleteGcBarrierResponse> {
    let now = now(shared);
    let id = request.barrier_id.as_bytes();
    let deleted = shared.pd.safe_points().delete_barrier(id, now);
    Ok(deleted.map_err(failed).map(|barrier| DeleteGcBarrierResponse {
        deleted_barrier_info: barrier.map(|barrier| info(id, barrier.timestamp, barrier.ttl(now))),
        ..Default::default()
    }))
}

/// The state, whichever keyspace is asked for.
pub(super) fn state(shared: &Shared, keyspace_scope: Option<KeyspaceScope>, without_barriers: bool) -> GcState {
    let now = now(shared);
    let mut points = shared.pd.safe_points();
    let (txn_safe_point, gc_safe_point) = (points.transactions(), points.gc());
    let barriers = points.barriers(now).map(|(id, barrier)| info(id, barrier.timestamp, barrier.ttl(now)));
    let gc_barriers = if without_barriers { Vec::new() } else { barriers.collect() };
    GcState {
        keyspace_scope,
        is_keyspace_level_gc: false,
        txn_safe_point,
        gc_safe_point,
        gc_barriers,
        ..GcState::default()
    }
}

fn info(id: &[u8], barrier_ts: u64, ttl_seconds: i64) -> GcBarrierInfo {
    GcBarrierInfo {
        barrier_id: String::from_utf8_lossy(id).into_owned(),
        barrier_ts,
        ttl_seconds,
        ..GcBarrierInfo::default()
    }
}
