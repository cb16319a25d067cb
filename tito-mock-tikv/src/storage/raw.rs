//! The raw store: plain keys and values, kept apart from the transactional ones.
//!
//! An entry with a time to live is gone once that is over by PD's clock (`src/storage/raw/ttl.rs`).

use std::collections::{BTreeMap, BTreeSet};

use crate::range::RegionRange;
use tito_tikv_proto::kvrpcpb::{
    ChecksumAlgorithm, KeyError, KeyRange as RequestRange, KvPair, RawBatchDeleteRequest, RawBatchDeleteResponse,
    RawBatchGetRequest, RawBatchGetResponse, RawBatchPutRequest, RawBatchPutResponse, RawBatchScanRequest,
    RawBatchScanResponse, RawCasRequest, RawCasResponse, RawChecksumRequest, RawChecksumResponse,
    RawDeleteRangeRequest, RawDeleteRangeResponse, RawDeleteRequest, RawDeleteResponse, RawGetKeyTtlRequest,
    RawGetKeyTtlResponse, RawGetRequest, RawGetResponse, RawPutRequest, RawPutResponse, RawScanRequest,
    RawScanResponse,
};

use super::boundary::KeyRange;
use super::crc64::crc64;

type Family = BTreeMap<Vec<u8>, Entry>;

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    /// In seconds since the epoch; zero means never.
    expires: u64,
}

/// The column families, each a namespace of its own.
#[derive(Debug, Default)]
pub(super) struct RawState {
    families: [Family; 3],
    /// Expiry times, with family and key. If an entry was rewritten since, its own time counts.
    expiries: BTreeSet<(u64, usize, Vec<u8>)>,
}

/// The raw store at a point in time.
pub(super) struct RawAt<'a> {
    state: &'a mut RawState,
    now: u64,
}

impl RawState {
    /// The store as it is at a time in seconds since the epoch.
    pub(super) fn at(&mut self, now: u64) -> RawAt<'_> {
        while self.expiries.first().is_some_and(|(expires, ..)| *expires <= now) {
            let Some((expires, family, key)) = self.expiries.pop_first() else { break };
            if self.families[family].get(&key).is_some_and(|entry| entry.expires == expires) {
                self.families[family].remove(&key);
            }
        }
        RawAt { state: self, now }
    }
}

fn family_index(name: &str) -> Result<usize, String> {
    match name {
        "" | "default" => Ok(0),
        "lock" => Ok(1),
        "write" => Ok(2),
        _ => Err(format!("invalid cf name: {name}")),
    }
}

impl RawAt<'_> {
    fn family(&mut self, name: &str) -> Result<&mut Family, String> {
        Ok(&mut self.state.families[family_index(name)?])
    }

    fn insert(&mut self, cf: &str, key: &[u8], value: &[u8], ttl: u64) -> Result<(), String> {
        let family = family_index(cf)?;
        let expires = if ttl == 0 { 0 } else { self.now.saturating_add(ttl) };
        if expires != 0 {
            self.state.expiries.insert((expires, family, key.to_vec()));
        }
        self.state.families[family].insert(key.to_vec(), Entry { value: value.to_vec(), expires });
        Ok(())
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
        let now = self.now;
        match self.family(&request.cf).map(|family| family.get(&request.key)) {
            Ok(Some(entry)) => {
                RawGetKeyTtlResponse { ttl: entry.expires.saturating_sub(now), ..RawGetKeyTtlResponse::default() }
            }
            Ok(None) => RawGetKeyTtlResponse { not_found: true, ..RawGetKeyTtlResponse::default() },
            Err(error) => RawGetKeyTtlResponse { error, ..RawGetKeyTtlResponse::default() },
        }
    }

    pub(super) fn put(&mut self, request: &RawPutRequest) -> RawPutResponse {
        let result = self.insert(&request.cf, &request.key, &request.value, request.ttl);
        RawPutResponse { error: text_of(result), ..RawPutResponse::default() }
    }

    /// A single entry in `ttls` applies to all pairs; otherwise there has to be one for each.
    pub(super) fn batch_put(&mut self, request: &RawBatchPutRequest) -> RawBatchPutResponse {
        let ttls = match request.ttls.as_slice() {
            [] => vec![request.ttl; request.pairs.len()],
            [ttl] => vec![*ttl; request.pairs.len()],
            ttls => ttls.to_vec(),
        };
        let result = if ttls.len() == request.pairs.len() {
            (request.pairs.iter().zip(ttls))
                .try_for_each(|(pair, ttl)| self.insert(&request.cf, &pair.key, &pair.value, ttl))
        } else {
            Err(format!("The length of ttls {} does not equal that of pairs {}", ttls.len(), request.pairs.len()))
        };
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
                let part = |RequestRange { start_key, end_key, .. }: &RequestRange| {
                    walk.collect(family, start_key, end_key, region)
                };
                ranges.flat_map(part).collect()
            }
            Err(error) => vec![failed_pair(error)],
        };
        RawBatchScanResponse { kvs, ..RawBatchScanResponse::default() }
    }

    /// Puts the value if the current one is what the caller expects, and returns the previous value.
    pub(super) fn compare_and_swap(&mut self, request: &RawCasRequest) -> RawCasResponse {
        let family = match self.family(&request.cf) {
            Ok(family) => family,
            Err(error) => return RawCasResponse { error, ..RawCasResponse::default() },
        };
        let previous = family.get(&request.key).map(|entry| entry.value.clone());
        let expected = (!request.previous_not_exist).then_some(&request.previous_value);
        let succeed = previous.as_ref() == expected;
        if succeed && let Err(error) = self.insert(&request.cf, &request.key, &request.value, request.ttl) {
            return RawCasResponse { error, ..RawCasResponse::default() };
        }
        RawCasResponse {
            succeed,
            previous_not_exist: previous.is_none(),
            previous_value: previous.unwrap_or_default(),
            ..RawCasResponse::default()
        }
    }
}

impl RawAt<'_> {
    /// The checksums of all pairs in the ranges, combined so that their order doesn't matter.
    pub(super) fn checksum(&mut self, request: &RawChecksumRequest, region: &RegionRange) -> RawChecksumResponse {
        let mut response = RawChecksumResponse::default();
        if request.algorithm != ChecksumAlgorithm::Crc64Xor as i32 {
            response.error = format!("unknown checksum algorithm {}", request.algorithm);
            return response;
        }
        let whole = KeyRange::new(&region.start, &region.end);
        for RequestRange { start_key, end_key, .. } in &request.ranges {
            let range = KeyRange::new(start_key, end_key).within(&whole);
            let Some(bounds) = range.bounds() else { continue };
            for (key, entry) in self.state.families[0].range::<[u8], _>(bounds) {
                response.checksum ^= crc64(&[key, &entry.value]);
                response.total_kvs += 1;
                response.total_bytes += (key.len() + entry.value.len()) as u64;
            }
        }
        response
    }
}

/// How a scan walks over keys.
struct Walk {
    limit: u32,
    key_only: bool,
    reverse: bool,
}

impl Walk {
    /// When walking backwards, `start` is the upper end.
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

/// The error field of a response; empty means no error.
fn text_of(result: Result<(), String>) -> String {
    result.err().unwrap_or_default()
}
