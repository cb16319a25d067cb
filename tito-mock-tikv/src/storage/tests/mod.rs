// The seeds of random tests are printed; the errors are the messages of the wire, large as they are.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::result_large_err, missing_docs)]
//! What the store does with requests, as seen from outside.

mod async_commit;
mod commit;
mod differences;
mod garbage;
mod listed;
mod odd;
mod pessimistic;
mod prewrite;
mod random;
mod raw;
mod read;
mod resolve;
mod status;
mod versions;

use tito_tikv_proto::kvrpcpb::*;

use crate::range::RegionRange;
use crate::version::TikvVersion;

use super::Scope;

/// The storage of one store that leads one region.
#[derive(Default)]
struct TestStorage {
    inner: super::Storage,
    version: TikvVersion,
    in_memory_locks: bool,
}

static EVERYTHING: RegionRange = RegionRange { start: Vec::new(), end: Vec::new() };

macro_rules! calls {
    ($($method:ident $request:ident $response:ident)*) => {
        impl TestStorage {
            $(fn $method(&self, request: &$request) -> $response {
                self.inner.$method(self.scope(&EVERYTHING), request)
            })*
        }
    };
}

calls! {
    get GetRequest GetResponse
    batch_get BatchGetRequest BatchGetResponse
    prewrite PrewriteRequest PrewriteResponse
    commit CommitRequest CommitResponse
    batch_rollback BatchRollbackRequest BatchRollbackResponse
    cleanup CleanupRequest CleanupResponse
    check_txn_status CheckTxnStatusRequest CheckTxnStatusResponse
    check_secondary_locks CheckSecondaryLocksRequest CheckSecondaryLocksResponse
    pessimistic_rollback PessimisticRollbackRequest PessimisticRollbackResponse
    raw_get RawGetRequest RawGetResponse
    raw_batch_get RawBatchGetRequest RawBatchGetResponse
    raw_get_key_ttl RawGetKeyTtlRequest RawGetKeyTtlResponse
    raw_put RawPutRequest RawPutResponse
    raw_batch_put RawBatchPutRequest RawBatchPutResponse
    raw_delete RawDeleteRequest RawDeleteResponse
    raw_batch_delete RawBatchDeleteRequest RawBatchDeleteResponse
    raw_delete_range RawDeleteRangeRequest RawDeleteRangeResponse
    raw_compare_and_swap RawCasRequest RawCasResponse
}

impl std::ops::Deref for TestStorage {
    type Target = super::Storage;

    fn deref(&self) -> &super::Storage {
        &self.inner
    }
}

impl TestStorage {
    fn of_version(version: TikvVersion) -> Self {
        Self { version, ..Self::default() }
    }

    fn scope<'a>(&self, region: &'a RegionRange) -> Scope<'a> {
        let (version, in_memory_locks) = (self.version, self.in_memory_locks);
        Scope { store: 1, region, max_ts_synced: true, version, now: 0, in_memory_locks }
    }

    fn scan(&self, request: &ScanRequest, region: &RegionRange) -> ScanResponse {
        self.inner.scan(self.scope(region), request)
    }

    fn scan_lock(&self, request: &ScanLockRequest, region: &RegionRange) -> ScanLockResponse {
        self.inner.scan_lock(self.scope(region), request)
    }

    fn resolve_lock(&self, request: &ResolveLockRequest, region: &RegionRange) -> ResolveLockResponse {
        self.inner.resolve_lock(self.scope(region), request)
    }

    fn raw_scan(&self, request: &RawScanRequest, region: &RegionRange) -> RawScanResponse {
        self.inner.raw_scan(self.scope(region), request)
    }

    fn raw_batch_scan(&self, request: &RawBatchScanRequest, region: &RegionRange) -> RawBatchScanResponse {
        self.inner.raw_batch_scan(self.scope(region), request)
    }

    async fn pessimistic_lock(&self, request: &PessimisticLockRequest) -> PessimisticLockResponse {
        let admit = |act: &mut dyn FnMut(Scope<'_>)| {
            act(self.scope(&EVERYTHING));
            None
        };
        self.inner.pessimistic_lock(request, admit).await
    }
}

/// A timestamp of this many milliseconds.
fn at(milliseconds: u64) -> u64 {
    milliseconds << 18
}

fn everything() -> RegionRange {
    RegionRange { start: Vec::new(), end: Vec::new() }
}

fn mutation(op: Op, key: &str, value: &[u8]) -> Mutation {
    Mutation { op: op.into(), key: key.into(), value: value.to_vec(), ..Mutation::default() }
}

fn put(key: &str, value: &str) -> Mutation {
    mutation(Op::Put, key, value.as_bytes())
}

/// A prewrite whose primary is the first key.
fn prewrite_request(start_version: u64, mutations: Vec<Mutation>) -> PrewriteRequest {
    let primary_lock = mutations.first().map(|mutation| mutation.key.clone()).unwrap_or_default();
    PrewriteRequest { mutations, primary_lock, start_version, lock_ttl: 100, ..PrewriteRequest::default() }
}

/// The requests in the form that most tests need; those that change something panic on failure.
impl TestStorage {
    fn prewrite_ok(&self, start_version: u64, mutations: Vec<Mutation>) {
        let response = self.prewrite(&prewrite_request(start_version, mutations));
        assert_eq!(response, PrewriteResponse::default());
    }

    fn prewrite_error(&self, start_version: u64, mutations: Vec<Mutation>) -> KeyError {
        let mut response = self.prewrite(&prewrite_request(start_version, mutations));
        assert_eq!(response.errors.len(), 1, "{:?}", response.errors);
        response.errors.pop().unwrap()
    }

    fn try_commit(&self, keys: &[&str], start_version: u64, commit_version: u64) -> Option<KeyError> {
        let keys = names(keys);
        self.commit(&CommitRequest { start_version, keys, commit_version, ..Default::default() }).error
    }

    fn commit_ok(&self, keys: &[&str], start_version: u64, commit_version: u64) {
        assert_eq!(self.try_commit(keys, start_version, commit_version), None);
    }

    fn put_at(&self, key: &str, value: &str, start_version: u64, commit_version: u64) {
        self.write(put(key, value), start_version, commit_version);
    }

    fn write(&self, mutation: Mutation, start_version: u64, commit_version: u64) {
        let key = String::from_utf8(mutation.key.clone()).unwrap();
        self.prewrite_ok(start_version, vec![mutation]);
        self.commit_ok(&[&key], start_version, commit_version);
    }

    fn try_roll_back(&self, keys: &[&str], start_version: u64) -> Option<KeyError> {
        self.batch_rollback(&BatchRollbackRequest { start_version, keys: names(keys), ..Default::default() }).error
    }

    fn roll_back(&self, keys: &[&str], start_version: u64) {
        assert_eq!(self.try_roll_back(keys, start_version), None);
    }

    fn try_read(&self, key: &str, version: u64) -> Result<Option<Vec<u8>>, KeyError> {
        let response = self.get(&GetRequest { key: key.into(), version, ..Default::default() });
        match response.error {
            Some(error) => Err(error),
            None => Ok((!response.not_found).then_some(response.value)),
        }
    }

    fn read(&self, key: &str, version: u64) -> Option<String> {
        self.try_read(key, version).unwrap().map(|value| String::from_utf8(value).unwrap())
    }

    fn status(&self, request: CheckTxnStatusRequest) -> CheckTxnStatusResponse {
        let response = self.check_txn_status(&request);
        assert_eq!(response.error, None);
        response
    }
}

fn names(keys: &[&str]) -> Vec<Vec<u8>> {
    keys.iter().map(|key| key.as_bytes().to_vec()).collect()
}
