//! All records of a key, for inspection (`src/storage/txn/actions/mvcc.rs`).

use tito_tikv_proto::kvrpcpb::{
    MvccGetByKeyRequest, MvccGetByKeyResponse, MvccGetByStartTsRequest, MvccGetByStartTsResponse, MvccInfo, MvccValue,
};

use super::boundary::KeyRange;
use super::scope::Scope;
use super::state::State;

pub(super) fn get_by_key(state: &State, request: &MvccGetByKeyRequest) -> MvccGetByKeyResponse {
    MvccGetByKeyResponse { info: Some(info(state, &request.key)), ..MvccGetByKeyResponse::default() }
}

/// The records of the first key in the region on which the transaction has a write record.
pub(super) fn get_by_start_ts(
    state: &State,
    scope: Scope<'_>,
    request: &MvccGetByStartTsRequest,
) -> MvccGetByStartTsResponse {
    let found = state
        .histories_in(&KeyRange::of_region(scope.region))
        .find(|(_, history)| history.has_record_of(request.start_ts))
        .map(|(key, _)| key);
    let info = found.map(|key| info(state, key)).unwrap_or_default();
    let key = found.cloned().unwrap_or_default();
    MvccGetByStartTsResponse { key, info: Some(info), ..MvccGetByStartTsResponse::default() }
}

fn info(state: &State, key: &[u8]) -> MvccInfo {
    let history = state.history(key);
    let value = |(start_ts, value): (u64, &[u8])| MvccValue { start_ts, value: value.to_vec(), ..MvccValue::default() };
    MvccInfo {
        lock: state.lock(key).map(|lock| lock.mvcc()),
        writes: history.newest_first().map(|(at, write)| write.mvcc(at)).collect(),
        values: history.long_values().map(value).collect(),
        ..MvccInfo::default()
    }
}
