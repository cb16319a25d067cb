//! Garbage collection, and the removal of whole ranges.

use super::boundary::KeyRange;
use super::state::State;
use tito_tikv_proto::kvrpcpb::{
    DeleteRangeRequest, DeleteRangeResponse, UnsafeDestroyRangeRequest, UnsafeDestroyRangeResponse,
};

/// Drops everything that no read at or after the safe point needs, in all regions.
pub(super) fn collect_garbage(state: &mut State, safe_point: u64) {
    state.collect_garbage(&KeyRange::new(&[], &[]), safe_point);
}

/// Removes all transactional records in the range from all regions, regardless of readers.
pub(super) fn unsafe_destroy_range(
    state: &mut State,
    request: &UnsafeDestroyRangeRequest,
) -> UnsafeDestroyRangeResponse {
    state.destroy(&KeyRange::new(&request.start_key, &request.end_key));
    UnsafeDestroyRangeResponse::default()
}

/// Removes all transactional records in the range, unless the request only announces a removal.
pub(super) fn delete_range(state: &mut State, request: &DeleteRangeRequest) -> DeleteRangeResponse {
    if !request.notify_only {
        state.destroy(&KeyRange::new(&request.start_key, &request.end_key));
    }
    DeleteRangeResponse::default()
}
