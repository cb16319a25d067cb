//! Reads at a timestamp: one key, several, or a range (`src/storage/mvcc/reader`).

use tito_tikv_proto::kvrpcpb::{
    BatchGetRequest, BatchGetResponse, GetRequest, GetResponse, KvPair, ScanRequest, ScanResponse,
};

use super::boundary::KeyRange;
use super::failure::{Failure, Result};
use super::history::{History, NO_HISTORY};
use super::merge::merge;
use super::records::Lock;
use super::scope::Scope;
use super::snapshot::{Found, Snapshot};
use super::state::State;

pub(super) fn get(state: &mut State, scope: Scope<'_>, request: &GetRequest) -> GetResponse {
    let snapshot = Snapshot::new(request.context.as_ref(), request.version, request.need_commit_ts);
    snapshot.note(state, scope);
    let key = &request.key;
    match snapshot.value(key, state.lock(key), state.history(key)) {
        Ok(Some(found)) => {
            GetResponse { value: found.value.to_vec(), commit_ts: found.commit_ts, ..GetResponse::default() }
        }
        Ok(None) => GetResponse { not_found: true, ..GetResponse::default() },
        Err(failure) => GetResponse { error: Some(failure.into_key_error()), ..GetResponse::default() },
    }
}

/// A pair for each key that exists or is locked; a key without a value has none.
pub(super) fn batch_get(state: &mut State, scope: Scope<'_>, request: &BatchGetRequest) -> BatchGetResponse {
    let snapshot = Snapshot::new(request.context.as_ref(), request.version, request.need_commit_ts);
    snapshot.note(state, scope);
    let pairs = request.keys.iter().filter_map(|key| {
        let value = snapshot.value(key, state.lock(key), state.history(key));
        pair(key, value, false)
    });
    BatchGetResponse { pairs: pairs.collect(), ..BatchGetResponse::default() }
}

/// The pairs of a range within a region, up to the limit; a locked key counts as one. Any other failure ends the scan,
/// and appears in the response and in its only pair.
pub(super) fn scan(state: &mut State, scope: Scope<'_>, request: &ScanRequest) -> ScanResponse {
    let snapshot = Snapshot::new(request.context.as_ref(), request.version, false);
    snapshot.note(state, scope);
    // A backward scan starts at its upper end.
    let (low, high) =
        if request.reverse { (&request.end_key, &request.start_key) } else { (&request.start_key, &request.end_key) };
    let range = KeyRange::new(low, high).within(&KeyRange::of_region(scope.region));
    let locks = state.locks_in(&range);
    let histories = state.histories_in(&range);
    let pairs = if request.reverse {
        collect(merge(locks.rev(), histories.rev(), |left, right| right.cmp(left)), &snapshot, request)
    } else {
        collect(merge(locks, histories, Ord::cmp), &snapshot, request)
    };
    match pairs {
        Ok(pairs) => ScanResponse { pairs, ..ScanResponse::default() },
        Err(failure) => {
            let error = Some(failure.into_key_error());
            let pairs = vec![KvPair { error: error.clone(), ..KvPair::default() }];
            ScanResponse { pairs, error, ..ScanResponse::default() }
        }
    }
}

fn collect<'s>(
    keys: impl Iterator<Item = (&'s Vec<u8>, Option<&'s Lock>, Option<&'s History>)>,
    snapshot: &Snapshot<'_>,
    request: &ScanRequest,
) -> Result<Vec<KvPair>> {
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let step = request.sample_step.max(1);
    let mut seen = 0;
    let mut pairs = Vec::new();
    for (key, lock, history) in keys {
        if pairs.len() >= limit {
            break;
        }
        let history = history.unwrap_or(&NO_HISTORY);
        let value = if request.reverse {
            snapshot.value_backwards(key, lock, history)
        } else {
            snapshot.value(key, lock, history)
        };
        match value {
            Ok(None) => {}
            Ok(Some(_)) => {
                if seen % step == 0 {
                    pairs.extend(pair(key, value, request.key_only));
                }
                seen += 1;
            }
            Err(Failure::Locked(_)) => pairs.extend(pair(key, value, request.key_only)),
            Err(failure) => return Err(failure),
        }
    }
    Ok(pairs)
}

/// As in TiKV, the pair of a locked key has an error and no key; the error names the key.
fn pair(key: &[u8], value: Result<Option<Found<'_>>>, key_only: bool) -> Option<KvPair> {
    match value {
        Ok(found) => found.map(|found| KvPair {
            error: None,
            key: key.to_vec(),
            value: if key_only { Vec::new() } else { found.value.to_vec() },
            commit_ts: found.commit_ts,
            ..KvPair::default()
        }),
        Err(failure) => Some(KvPair { error: Some(failure.into_key_error()), ..KvPair::default() }),
    }
}
