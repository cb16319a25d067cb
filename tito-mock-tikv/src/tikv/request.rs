//! What requests to a region have in common.
use std::sync::LazyLock;

use crate::topology::KeyForm;
use tito_tikv_proto::errorpb;
use tito_tikv_proto::kvrpcpb::*;

pub(super) trait RegionRequest: Clone + Send + Sync + 'static {
    type Response: RegionResponse;

    /// Whether this is a raw request, whose keys are not encoded in boundaries.
    const RAW: bool;

    fn context(&self) -> &Context;

    /// The keys that have to be in the region.
    fn keys(&self) -> Vec<&[u8]>;

    /// The end of a range that has to be in the region. Scans have none, since they stop at the region's boundary.
    fn end(&self) -> Option<&[u8]>;

    /// How the keys compare with boundaries: in keyspaces, raw keys are encoded as well.
    fn key_form(&self) -> KeyForm {
        let plain = Self::RAW && self.context().api_version() != ApiVersion::V2;
        if plain { KeyForm::Plain } else { KeyForm::Encoded }
    }
}

pub(super) trait RegionResponse: Default + Send + 'static {
    fn of_region_error(error: errorpb::Error) -> Self;
}

/// The context of a request without one. The answer is then that there is no store 0.
static NO_CONTEXT: LazyLock<Context> = LazyLock::new(Context::default);

macro_rules! requests {
    ($($raw:literal $request:ident -> $response:ident: |$it:ident| $keys:expr, $end:expr;)*) => {$(
        impl RegionRequest for $request {
            type Response = $response;

            const RAW: bool = $raw;

            fn context(&self) -> &Context {
                self.context.as_ref().unwrap_or_else(|| &*NO_CONTEXT)
            }

            fn keys(&self) -> Vec<&[u8]> {
                let $it = self;
                let _ = $it;
                $keys
            }

            fn end(&self) -> Option<&[u8]> {
                let $it = self;
                let _ = $it;
                $end
            }
        }

        impl RegionResponse for $response {
            fn of_region_error(error: errorpb::Error) -> Self {
                $response { region_error: Some(error), ..$response::default() }
            }
        }
    )*};
}

fn all(keys: &[Vec<u8>]) -> Vec<&[u8]> {
    keys.iter().map(Vec::as_slice).collect()
}

fn of_mutations(mutations: &[Mutation]) -> Vec<&[u8]> {
    mutations.iter().map(|mutation| mutation.key.as_slice()).collect()
}

requests! {
    false GetRequest -> GetResponse: |it| vec![&it.key], None;
    false ScanRequest -> ScanResponse: |it| Vec::new(), None;
    false PrewriteRequest -> PrewriteResponse: |it| of_mutations(&it.mutations), None;
    false PessimisticLockRequest -> PessimisticLockResponse: |it| of_mutations(&it.mutations), None;
    false PessimisticRollbackRequest -> PessimisticRollbackResponse: |it| all(&it.keys), None;
    false TxnHeartBeatRequest -> TxnHeartBeatResponse: |it| vec![&it.primary_lock], None;
    false CheckTxnStatusRequest -> CheckTxnStatusResponse: |it| vec![&it.primary_key], None;
    false CheckSecondaryLocksRequest -> CheckSecondaryLocksResponse: |it| all(&it.keys), None;
    false CommitRequest -> CommitResponse: |it| all(&it.keys), None;
    false CleanupRequest -> CleanupResponse: |it| vec![&it.key], None;
    false BatchGetRequest -> BatchGetResponse: |it| all(&it.keys), None;
    false BatchRollbackRequest -> BatchRollbackResponse: |it| all(&it.keys), None;
    false ScanLockRequest -> ScanLockResponse: |it| Vec::new(), None;
    false ResolveLockRequest -> ResolveLockResponse: |it| all(&it.keys), None;
    false DeleteRangeRequest -> DeleteRangeResponse: |it| vec![&it.start_key], Some(&it.end_key);
    false MvccGetByKeyRequest -> MvccGetByKeyResponse: |it| vec![&it.key], None;
    false MvccGetByStartTsRequest -> MvccGetByStartTsResponse: |it| Vec::new(), None;
    false UnsafeDestroyRangeRequest -> UnsafeDestroyRangeResponse: |it| Vec::new(), None;
    false SplitRegionRequest -> SplitRegionResponse: |it| all(&it.split_keys), None;
    false FlushRequest -> FlushResponse: |it| of_mutations(&it.mutations), None;
    false BufferBatchGetRequest -> BufferBatchGetResponse: |it| all(&it.keys), None;
    true RawChecksumRequest -> RawChecksumResponse: |it| Vec::new(), None;
    true RawGetRequest -> RawGetResponse: |it| vec![&it.key], None;
    true RawBatchGetRequest -> RawBatchGetResponse: |it| all(&it.keys), None;
    true RawPutRequest -> RawPutResponse: |it| vec![&it.key], None;
    true RawBatchPutRequest -> RawBatchPutResponse: |it| it.pairs.iter().map(|pair| pair.key.as_slice()).collect(), None;
    true RawDeleteRequest -> RawDeleteResponse: |it| vec![&it.key], None;
    true RawBatchDeleteRequest -> RawBatchDeleteResponse: |it| all(&it.keys), None;
    true RawScanRequest -> RawScanResponse: |it| Vec::new(), None;
    true RawBatchScanRequest -> RawBatchScanResponse: |it| Vec::new(), None;
    true RawDeleteRangeRequest -> RawDeleteRangeResponse: |it| vec![&it.start_key], Some(&it.end_key);
    true RawGetKeyTtlRequest -> RawGetKeyTtlResponse: |it| vec![&it.key], None;
    true RawCasRequest -> RawCasResponse: |it| vec![&it.key], None;
}
