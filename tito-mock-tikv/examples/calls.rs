//! How many calls a cluster answers in a second:
//!
//! `cargo run --release -p tito-mock-tikv --example calls`
//!
//! 64 tasks on 2 threads, client and servers in the same process; the client is the stub of `tito-tikv-proto`, without
//! sockets. Says also how long it takes to ask after an old transaction of a key with a million versions.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tito_mock_tikv::{InProcess, MockCluster};
use tito_tikv_proto::kvrpcpb::*;
use tito_tikv_proto::pdpb::pd_client::PdClient;
use tito_tikv_proto::pdpb::{GetRegionRequest, RequestHeader};
use tito_tikv_proto::tikvpb::tikv_client::TikvClient;

type Error = Box<dyn std::error::Error + Send + Sync>;

const TASKS: usize = 64;
const TIME: Duration = Duration::from_secs(3);
const VERSIONS: u64 = 1_000_000;

#[derive(Clone)]
struct Caller {
    cluster: MockCluster,
    store: TikvClient<InProcess>,
    context: Context,
}

impl Caller {
    async fn new() -> Result<Self, Error> {
        let cluster = MockCluster::builder().in_process().start().await?;
        let pd = cluster.connect(&cluster.pd_endpoints()[0]).ok_or("PD is there")?;
        let header = Some(RequestHeader { cluster_id: cluster.cluster_id(), ..RequestHeader::default() });
        let request = GetRegionRequest { header, ..GetRegionRequest::default() };
        let region = PdClient::new(pd).get_region(request).await?.into_inner();
        let context = Context {
            region_id: region.region.as_ref().map_or(0, |region| region.id),
            region_epoch: region.region.and_then(|region| region.region_epoch),
            peer: region.leader,
            ..Context::default()
        };
        let store = cluster.connect(&cluster.stores()[0].address.to_string()).ok_or("the store is there")?;
        Ok(Caller { cluster, store: TikvClient::new(store), context })
    }

    async fn get(&mut self, key: &[u8]) -> Result<(), Error> {
        let (context, version) = (Some(self.context.clone()), self.cluster.timestamp());
        self.store.kv_get(GetRequest { context, key: key.to_vec(), version, ..GetRequest::default() }).await?;
        Ok(())
    }

    async fn put(&mut self, key: &[u8]) -> Result<(), Error> {
        let context = Some(self.context.clone());
        let start_version = self.cluster.timestamp();
        let put = Mutation { key: key.to_vec(), value: vec![7; 64], ..Mutation::default() };
        let prewrite = PrewriteRequest {
            context: context.clone(),
            mutations: vec![put],
            primary_lock: key.to_vec(),
            start_version,
            lock_ttl: 3000,
            ..PrewriteRequest::default()
        };
        let response = self.store.kv_prewrite(prewrite).await?.into_inner();
        if !response.errors.is_empty() || response.region_error.is_some() {
            return Err(format!("{response:?}").into());
        }
        let (keys, commit_version) = (vec![key.to_vec()], self.cluster.timestamp());
        let commit = CommitRequest { context, keys, start_version, commit_version, ..CommitRequest::default() };
        self.store.kv_commit(commit).await?;
        Ok(())
    }
}

/// Calls in a second by all tasks together; each has keys of its own.
async fn rate(caller: &Caller, writes: bool) -> Result<f64, Error> {
    let done = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + TIME;
    let tasks = (0..TASKS).map(|task| {
        let (mut caller, done) = (caller.clone(), done.clone());
        tokio::spawn(async move {
            let mut round = 0;
            while Instant::now() < end {
                let key = format!("key-{task}-{}", round % 100);
                if writes {
                    caller.put(key.as_bytes()).await?
                } else {
                    caller.get(key.as_bytes()).await?
                }
                round += 1;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), Error>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / TIME.as_secs_f64())
}

/// The time of a question after an old transaction, the middle one of a hundred.
async fn old_transactions(mut caller: Caller) -> Result<Duration, Error> {
    let first = caller.cluster.timestamp();
    for _ in 0..VERSIONS {
        caller.put(b"one key").await?;
    }
    let mut times = Vec::new();
    for index in 0..100 {
        let request = CheckTxnStatusRequest {
            context: Some(caller.context.clone()),
            primary_key: b"one key".to_vec(),
            lock_ts: first + 1 + index,
            ..CheckTxnStatusRequest::default()
        };
        let start = Instant::now();
        caller.store.kv_check_txn_status(request).await?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Error> {
    let caller = Caller::new().await?;
    println!("{:.0} pairs of prewrite and commit a second", rate(&caller, true).await?);
    println!("{:.0} gets a second", rate(&caller, false).await?);
    println!("an old transaction among {VERSIONS} versions: {:?}", old_transactions(Caller::new().await?).await?);
    Ok(())
}
