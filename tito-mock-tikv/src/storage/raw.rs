//! The raw store: plain keys and values, next to the transactional ones and not mixed with them.
//!
//! A time to live is kept and told, but nothing expires.

use std::collections::BTreeMap;

use crate::range::RegionRange;
use tito_tikv_proto::kvrpcpb::{
    KeyError, KeyRange as RequestRange, KvPair, RawBatchDeleteRequest, RawBatchDeleteResponse, RawBatchGetRequest,
    RawBatchGetResponse, RawBatchPutRequest, RawBatchPutResponse, RawBatchScanRequest, RawBatchScanResponse,
    RawCasRequest, RawCasResponse, RawDeleteRangeRequest, RawDeleteRangeResponse, RawDeleteRequest, RawDeleteResponse,
    RawGetKeyTtlRequest, RawGetKeyTtlResponse, RawGetRequest, RawGetResponse, RawPutRequest, RawPutResponse,
    RawScanRequest, RawScanResponse,
};

use super::boundary::KeyRange;

type Family = BTreeMap<Vec<u8>, Entry>;

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    /// Seconds; zero is for ever.
    ttl: u64,
}

/// The column families, each a name space of its own.
#[derive(Debug, Default)]
pub(super) struct RawState {
    default: Family,
    lock: Family,
    write: Family,
}

impl RawState {
    fn family(&mut self, name: &str) -> Result<&mut Family, String> {
        match name {
            "" | "default" => Ok(&mut self.default),
            "lock" => Ok(&mut self.lock),
            "write" => Ok(&mut self.write),
            _ => Err(format!("invalid cf name: {name}")),
        }
    }

    pub(super) fn get(&mut self, request: &RawGetRequest) -> RawGetResponse {
        match self.family(&request.cf).map(|family| family.get(&request.key)) {
            Ok(Some(entry)) => RawGetResponse { value: entry.value.clone(), ..RawGetResponse::default() },
            Ok(None) => RawGetResponse { not_found: true, ..RawGetResponse::default() },
            Err(error) => RawGetResponse { error, ..RawGetResponse::default() },
        }
    }

    pub(super) fn batch_get(&mut self, request: &RawBatchGetRequest) -> RawBatchGetResponse {
        let pairs = match self.family(&request.cf) {
            Ok(family) => {
                let found = request.keys.iter().filter_map(|key| family.get_key_value(key));
                found.map(|(key, entry)| pair(key, entry, false)).collect()
            }
            Err(error) => vec![failed_pair(error)],
        };
        RawBatchGetResponse { pairs, ..RawBatchGetResponse::default() }
    }

    pub(super) fn get_key_ttl(&mut self, request: &RawGetKeyTtlRequest) -> RawGetKeyTtlResponse {
        match self.family(&request.cf).map(|family| family.get(&request.key)) {
            Ok(Some(entry)) => RawGetKeyTtlResponse { ttl: entry.ttl, ..RawGetKeyTtlResponse::default() },
            Ok(None) => RawGetKeyTtlResponse { not_found: true, ..RawGetKeyTtlResponse::default() },
            Err(error) => RawGetKeyTtlResponse { error, ..RawGetKeyTtlResponse::default() },
        }
    }

    pub(super) fn put(&mut self, request: &RawPutRequest) -> RawPutResponse {
        let result = self.family(&request.cf).map(|family| {
            family.insert(request.key.clone(), Entry { value: request.value.clone(), ttl: request.ttl });
        });
        RawPutResponse { error: text_of(result), ..RawPutResponse::default() }
    }

    /// One `ttls` is for all pairs; with fewer than pairs otherwise, the rest live for ever.
    pub(super) fn batch_put(&mut self, request: &RawBatchPutRequest) -> RawBatchPutResponse {
        let result = self.family(&request.cf).map(|family| {
            for (index, pair) in request.pairs.iter().enumerate() {
                let ttl = match request.ttls.as_slice() {
                    [] => request.ttl,
                    [ttl] => *ttl,
                    ttls => ttls.get(index).copied().unwrap_or(0),
                };
                family.insert(pair.key.clone(), Entry { value: pair.value.clone(), ttl });
            }
        });
        RawBatchPutResponse { error: text_of(result), ..RawBatchPutResponse::default() }
    }

    pub(super) fn delete(&mut self, request: &RawDeleteRequest) -> RawDeleteResponse {
        let result = self.family(&request.cf).map(|family| {
            family.remove(&request.key);
        });
        RawDeleteResponse { error: text_of(result), ..RawDeleteResponse::default() }
    }

    pub(super) fn batch_delete(&mut self, request: &RawBatchDeleteRequest) -> RawBatchDeleteResponse {
        let result = self.family(&request.cf).map(|family| {
            for key in &request.keys {
                family.remove(key);
            }
        });
        RawBatchDeleteResponse { error: text_of(result), ..RawBatchDeleteResponse::default() }
    }

    pub(super) fn delete_range(&mut self, request: &RawDeleteRangeRequest) -> RawDeleteRangeResponse {
        let range = KeyRange::new(&request.start_key, &request.end_key);
        let result = self.family(&request.cf).map(|family| {
            let Some(bounds) = range.bounds() else { return };
            let keys: Vec<Vec<u8>> = family.range::<[u8], _>(bounds).map(|(key, _)| key.clone()).collect();
            for key in &keys {
                family.remove(key);
            }
        });
        RawDeleteRangeResponse { error: text_of(result), ..RawDeleteRangeResponse::default() }
    }

    pub(super) fn scan(&mut self, request: &RawScanRequest, region: &RegionRange) -> RawScanResponse {
        let walk = Walk { limit: request.limit, key_only: request.key_only, reverse: request.reverse };
        let kvs = match self.family(&request.cf) {
            Ok(family) => walk.collect(family, &request.start_key, &request.end_key, region),
            Err(error) => vec![failed_pair(error)],
        };
        RawScanResponse { kvs, ..RawScanResponse::default() }
    }

    pub(super) fn batch_scan(&mut self, request: &RawBatchScanRequest, region: &RegionRange) -> RawBatchScanResponse {
        let walk = Walk { limit: request.each_limit, key_only: request.key_only, reverse: request.reverse };
        let kvs = match self.family(&request.cf) {
            Ok(family) => {
                let ranges = request.ranges.iter();
                let part = |RequestRange { start_key, end_key }: &RequestRange| {
                    walk.collect(family, start_key, end_key, region)
                };
                ranges.flat_map(part).collect()
            }
            Err(error) => vec![failed_pair(error)],
        };
        RawBatchScanResponse { kvs, ..RawBatchScanResponse::default() }
    }

    /// Puts the value if the key has the value that the caller expects, and returns what it had.
    pub(super) fn compare_and_swap(&mut self, request: &RawCasRequest) -> RawCasResponse {
        let family = match self.family(&request.cf) {
            Ok(family) => family,
            Err(error) => return RawCasResponse { error, ..RawCasResponse::default() },
        };
        let previous = family.get(&request.key).map(|entry| entry.value.clone());
        let expected = (!request.previous_not_exist).then_some(&request.previous_value);
        let succeed = previous.as_ref() == expected;
        if succeed {
            family.insert(request.key.clone(), Entry { value: request.value.clone(), ttl: request.ttl });
        }
        RawCasResponse {
            succeed,
            previous_not_exist: previous.is_none(),
            previous_value: previous.unwrap_or_default(),
            ..RawCasResponse::default()
        }
    }
}

/// How a scan goes over keys.
struct Walk {
    limit: u32,
    key_only: bool,
    reverse: bool,
}

impl Walk {
    /// Backwards, `start` is the upper end.
    fn collect(&self, family: &Family, start: &[u8], end: &[u8], region: &RegionRange) -> Vec<KvPair> {
        let (low, high) = if self.reverse { (end, start) } else { (start, end) };
        let range = KeyRange::new(low, high).within(&KeyRange::new(&region.start, &region.end));
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let Some(bounds) = range.bounds() else { return Vec::new() };
        let entries = family.range::<[u8], _>(bounds);
        if self.reverse {
            entries.rev().take(limit).map(|(key, entry)| pair(key, entry, self.key_only)).collect()
        } else {
            entries.take(limit).map(|(key, entry)| pair(key, entry, self.key_only)).collect()
        }
    }
}

fn pair(key: &[u8], entry: &Entry, key_only: bool) -> KvPair {
    let value = if key_only { Vec::new() } else { entry.value.clone() };
    KvPair { key: key.to_vec(), value, ..KvPair::default() }
}

fn failed_pair(error: String) -> KvPair {
    KvPair { error: Some(KeyError { abort: error, ..KeyError::default() }), ..KvPair::default() }
}

/// The error field of a response; empty is no error.
fn text_of(result: Result<(), String>) -> String {
    result.err().unwrap_or_default()
}
