//! A store's calls: check the region, let a fault strike, ask the storage, answer.
use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::request::{RegionRequest, RegionResponse};
use crate::codec;
use crate::faults::Struck;
use crate::listener::Connections;
use crate::range::RegionRange;
use crate::shared::{Arrival, Settings, Shared, Verdict, Wait};
use crate::storage::{Scope, Storage};
use crate::topology::{KeyForm, Region, RegionError, Topology};
use crate::{Fault, Rpc, TikvVersion};
use tito_tikv_proto::kvrpcpb::*;
use tito_tikv_proto::metapb;

/// One store.
#[derive(Clone)]
pub(crate) struct StoreService {
    pub(super) shared: Arc<Shared>,
    store_id: u64,
    pub(super) connections: Arc<Connections>,
}

impl StoreService {
    pub(crate) fn new(shared: Arc<Shared>, store_id: u64, connections: Arc<Connections>) -> Self {
        StoreService { shared, store_id, connections }
    }

    /// The path of every call: a fault may strike it, and the store carries out what it has received, whatever the
    /// client does.
    async fn run<Q, S, F>(
        &self,
        rpc: Rpc,
        request: Request<Q>,
        act: impl FnOnce(Self, Arc<Q>, Verdict) -> F + Clone + Send + Sync + 'static,
    ) -> Result<Response<S>, Status>
    where
        Q: RegionRequest,
        S: Send + 'static,
        F: Future<Output = S> + Send + 'static,
    {
        let request = Arc::new(request.into_inner());
        let Arrival { verdict, wait, is_given_up } = self.shared.strike(rpc, &request.keys(), &self.connections)?;
        if let Verdict::Repeat(rule) = verdict {
            let (act, service, request) = (act.clone(), self.clone(), request.clone());
            self.shared.tasks.spawn(async move {
                service.shared.wait(Wait::UntilRemoved(rule)).await;
                act(service, request, Verdict::Proceed).await;
            });
        }
        let Some(wait) = wait else {
            let response = act(self.clone(), request, verdict.clone()).await;
            return verdict.finish(response);
        };
        let (answer, answered) = oneshot::channel();
        let (service, verdict_there) = (self.clone(), verdict.clone());
        self.shared.tasks.spawn(async move {
            service.shared.wait(wait).await;
            // Perhaps nobody is waiting any more.
            let _ = answer.send(act(service, request, verdict_there).await);
        });
        if is_given_up {
            return Err(Status::unavailable("the mock cluster is going to do this later"));
        }
        match answered.await {
            Ok(response) => verdict.finish(response),
            Err(_) => Err(Status::unavailable("the mock cluster is shut down")),
        }
    }

    /// The path of nearly every call.
    pub(super) async fn serve<Q: RegionRequest>(
        &self,
        rpc: Rpc,
        request: Request<Q>,
        answer: fn(&Storage, &Q, Scope<'_>) -> Q::Response,
    ) -> Result<Response<Q::Response>, Status> {
        self.run(rpc, request, move |service: Self, request: Arc<Q>, verdict: Verdict| async move {
            service.carry_out(&*request, &verdict, answer)
        })
        .await
    }

    fn carry_out<Q: RegionRequest>(
        &self,
        request: &Q,
        verdict: &Verdict,
        answer: fn(&Storage, &Q, Scope<'_>) -> Q::Response,
    ) -> Q::Response {
        self.shared.sync_max_ts(self.store_id, request.context().region_id);
        let now = if Q::RAW { self.shared.oracle.now() / 1000 } else { 0 };
        // Hold the topology until the storage has answered: a split or merge comes before or after the call.
        let topology = self.shared.topology();
        match self.admit(&topology, request, verdict) {
            Ok(region) => {
                let response = answer(
                    &self.shared.storage,
                    request,
                    Scope { now, ..self.scope(region, &range_for(request, region)) },
                );
                match verdict {
                    Verdict::Answer(fault) => self.injected(fault, &topology, request).unwrap_or(response),
                    _ => response,
                }
            }
            Err(error) => Q::Response::of_region_error(*error),
        }
    }

    fn scope<'a>(&self, region: &Region, range: &'a RegionRange) -> Scope<'a> {
        let Settings { version, in_memory_locks } = self.shared.settings;
        let max_ts_synced = region.max_ts_synced;
        Scope { store: self.store_id, region: range, max_ts_synced, version, now: 0, in_memory_locks }
    }

    /// The answer that a fault demands.
    fn injected<Q: RegionRequest>(&self, fault: &Fault, topology: &Topology, request: &Q) -> Option<Q::Response> {
        let error = fault.region_error(topology, &self.struck(request));
        error.map(|error| Q::Response::of_region_error(*error))
    }

    fn struck<'a, Q: RegionRequest>(&self, request: &'a Q) -> Struck<'a> {
        let context = request.context();
        Struck {
            store_id: self.store_id,
            region_id: context.region_id,
            peer_id: context.peer.as_ref().map_or(0, |peer| peer.id),
            first_key: request.keys().first().copied().unwrap_or_default(),
        }
    }

    /// The region that a request may go to.
    fn admit<'a, Q: RegionRequest>(
        &self,
        topology: &'a Topology,
        request: &Q,
        verdict: &Verdict,
    ) -> Result<&'a Region, RegionError> {
        // A request with an undetermined result may have taken effect.
        if let Verdict::Answer(fault) = verdict
            && *fault != (Fault::UndeterminedResult { applied: true })
            && let Some(error) = fault.region_error(topology, &self.struck(request))
        {
            return Err(error);
        }
        let region = topology.check(self.store_id, request.context())?;
        let (keys, form) = (request.keys(), request.key_form());
        region.check_keys(&keys, request.end(), form)?;
        if !Q::RAW
            && let Some(key) = keys.first()
        {
            self.shared.note_key(form.to_boundary(key));
        }
        Ok(region)
    }

    pub(super) async fn pessimistic_lock(
        &self,
        request: Request<PessimisticLockRequest>,
    ) -> Result<Response<PessimisticLockResponse>, Status> {
        self.run(
            Rpc::KvPessimisticLock,
            request,
            move |service: Self, request: Arc<PessimisticLockRequest>, verdict: Verdict| async move {
                // Don't hold the topology while the request waits: that would block splits and merges.
                let admit = |act: &mut dyn FnMut(Scope<'_>)| {
                    let topology = service.shared.topology();
                    match service.admit(&topology, &*request, &verdict) {
                        Ok(region) => {
                            act(service.scope(region, &region.range));
                            None
                        }
                        Err(error) => Some(PessimisticLockResponse::of_region_error(*error)),
                    }
                };
                let response = service.shared.storage.pessimistic_lock(&request, admit).await;
                match &verdict {
                    Verdict::Answer(fault) => {
                        service.injected(fault, &service.shared.topology(), &*request).unwrap_or(response)
                    }
                    _ => response,
                }
            },
        )
        .await
    }

    /// The request goes to the store, so there is no region to check.
    pub(super) async fn destroy_range(
        &self,
        request: Request<UnsafeDestroyRangeRequest>,
    ) -> Result<Response<UnsafeDestroyRangeResponse>, Status> {
        self.run(
            Rpc::UnsafeDestroyRange,
            request,
            |service: Self, request: Arc<UnsafeDestroyRangeRequest>, verdict: Verdict| async move {
                let topology = service.shared.topology();
                let error = match &verdict {
                    Verdict::Answer(fault) => fault.region_error(&topology, &service.struck(&*request)),
                    _ => None,
                };
                let is_done = !matches!(&verdict, Verdict::Answer(fault) if *fault != Fault::UndeterminedResult { applied: true });
                if is_done {
                    service.shared.storage.unsafe_destroy_range(&request);
                }
                UnsafeDestroyRangeResponse { region_error: error.map(|error| *error), ..Default::default() }
            },
        )
        .await
    }

    pub(super) async fn split(
        &self,
        request: Request<SplitRegionRequest>,
    ) -> Result<Response<SplitRegionResponse>, Status> {
        let request = request.map(|mut request| {
            if request.split_keys.is_empty() && !request.split_key.is_empty() {
                // Older clients use this field.
                request.split_keys.push(std::mem::take(&mut request.split_key));
            }
            request
        });
        self.run(
            Rpc::SplitRegion,
            request,
            |service: Self, request: Arc<SplitRegionRequest>, verdict: Verdict| async move {
                let mut topology = service.shared.topology_mut();
                let admitted = service.admit(&topology, &*request, &verdict).map(|region| region.id);
                match admitted {
                    Ok(id) => {
                        let keys = request.split_keys.iter().map(|key| codec::encode(key)).collect();
                        let parts = topology.split(id, keys).iter().map(Region::meta).collect();
                        match &verdict {
                            Verdict::Answer(fault) => service.injected(fault, &topology, &*request),
                            _ => None,
                        }
                        .unwrap_or_else(|| split_response(parts))
                    }
                    Err(error) => SplitRegionResponse::of_region_error(*error),
                }
            },
        )
        .await
    }

    /// A call that exists since 8.0.
    pub(super) async fn serve_flush<Q: RegionRequest>(
        &self,
        rpc: Rpc,
        request: Request<Q>,
        answer: fn(&Storage, &Q, Scope<'_>) -> Q::Response,
    ) -> Result<Response<Q::Response>, Status> {
        if self.shared.settings.version < TikvVersion::V8_5 {
            return Err(Status::unimplemented("transactions are flushed since 8.0"));
        }
        self.serve(rpc, request, answer).await
    }

    /// Only PD's safe point makes TiKV collect versions (`fn kv_gc` in `src/server/service/kv.rs`, since 5.0).
    pub(super) async fn gc(&self, request: Request<GcRequest>) -> Result<Response<GcResponse>, Status> {
        let region_id = request.get_ref().context.as_ref().map_or(0, |context| context.region_id);
        let verdict = self.shared.arrive(Rpc::KvGc, &[], &self.connections).await?;
        let struck = Struck { store_id: self.store_id, region_id, peer_id: 0, first_key: &[] };
        let error = match &verdict {
            Verdict::Answer(fault) => fault.region_error(&self.shared.topology(), &struck),
            _ => None,
        };
        match error {
            Some(error) => Ok(Response::new(GcResponse { region_error: Some(*error), ..GcResponse::default() })),
            None => Err(Status::unimplemented("versions are collected when PD's safe point moves")),
        }
    }
}

fn split_response(regions: Vec<metapb::Region>) -> SplitRegionResponse {
    let (left, right) = match regions.as_slice() {
        [left, right] => (Some(left.clone()), Some(right.clone())),
        _ => (None, None),
    };
    SplitRegionResponse { left, right, regions, ..SplitRegionResponse::default() }
}

/// The region's range: in the form of the request's own keys for raw calls, otherwise in PD's form.
fn range_for<'a, Q: RegionRequest>(request: &Q, region: &'a Region) -> Cow<'a, RegionRange> {
    if !Q::RAW || request.key_form() == KeyForm::Plain {
        return Cow::Borrowed(&region.range);
    }
    let decode = |boundary: &[u8]| codec::decode(boundary).unwrap_or_else(|| boundary.to_vec());
    Cow::Owned(RegionRange { start: decode(&region.range.start), end: decode(&region.range.end) })
}
