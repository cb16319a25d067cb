//! Calls that the clients in the other tests don't make.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tito_mock_tikv::{Fault, FaultRule, Rpc, TikvVersion};
use tito_tikv_proto::health::health_client::HealthClient;
use tito_tikv_proto::health::{HealthCheckRequest, health_check_response::ServingStatus};
use tito_tikv_proto::tikvpb::batch_commands_request::{Request as Command, request::Cmd};
use tito_tikv_proto::tikvpb::batch_commands_response::response::Cmd as Answer;
use tito_tikv_proto::tikvpb::{BatchCommandsEmptyRequest, BatchCommandsRequest};
use tonic::Code;

use super::*;

/// A key with two versions, `1` and `2`; returns the timestamps of the first transaction.
async fn two_versions(cluster: &MockCluster, store: &mut TikvClient<InProcess>, context: &Context) -> (u64, u64) {
    let mut first = None;
    for value in ["1", "2"] {
        let start = cluster.timestamp();
        store.kv_prewrite(prewrite(context, start, vec![put("k", value)])).await.unwrap();
        let commit_ts = cluster.timestamp();
        store.kv_commit(commit(context, "k", start, commit_ts)).await.unwrap();
        first = first.or(Some((start, commit_ts)));
    }
    first.unwrap()
}

#[tokio::test]
async fn the_records_of_a_key_are_told_by_the_key_and_by_a_transaction() {
    let cluster = in_process(1).await;
    let (mut store, context) = Caller::of(&cluster).await.leader().await;
    let (start, commit_ts) = two_versions(&cluster, &mut store, &context).await;
    let by_key =
        MvccGetByKeyRequest { context: Some(context.clone()), key: b"k".to_vec(), ..MvccGetByKeyRequest::default() };
    let info = store.mvcc_get_by_key(by_key).await.unwrap().into_inner().info.unwrap();
    let versions: Vec<&[u8]> = info.writes.iter().map(|write| write.short_value.as_slice()).collect();
    assert_eq!(versions, [b"2", b"1"]);
    let by_start = MvccGetByStartTsRequest {
        context: Some(context.clone()),
        start_ts: start,
        ..MvccGetByStartTsRequest::default()
    };
    let found = store.mvcc_get_by_start_ts(by_start).await.unwrap().into_inner();
    assert_eq!((found.key.as_slice(), found.info.as_ref()), (&b"k"[..], Some(&info)));
    assert_eq!(info.writes[1].commit_ts, commit_ts);
    let unknown =
        MvccGetByStartTsRequest { context: Some(context), start_ts: start + 1, ..MvccGetByStartTsRequest::default() };
    let found = store.mvcc_get_by_start_ts(unknown).await.unwrap().into_inner();
    assert_eq!((found.key.len(), found.info), (0, Some(MvccInfo::default())));
}

#[tokio::test]
async fn commands_in_a_batch_are_answered_by_their_numbers() {
    let cluster = in_process(1).await;
    let (mut store, context) = Caller::of(&cluster).await.leader().await;
    two_versions(&cluster, &mut store, &context).await;
    let read_ts = cluster.timestamp();
    let start = cluster.timestamp();
    let commands = vec![
        Cmd::Get(get(&context, "k", read_ts)),
        Cmd::Prewrite(prewrite(&context, start, vec![put("other", "1")])),
        Cmd::Empty(BatchCommandsEmptyRequest { test_id: 7, delay_time: 0, ..BatchCommandsEmptyRequest::default() }),
        Cmd::Get(get(&Context::default(), "k", read_ts)),
    ];
    let requests = commands.into_iter().map(|cmd| Command { cmd: Some(cmd), ..Command::default() }).collect();
    let batch = BatchCommandsRequest { requests, request_ids: vec![1, 2, 3, 4], ..Default::default() };
    let mut answers = store.batch_commands(futures::stream::iter([batch])).await.unwrap().into_inner();
    let mut answered = std::collections::BTreeMap::new();
    // A client that has sent everything gets all answers, and then the end.
    while let Some(message) = answers.message().await.unwrap() {
        answered.extend(message.request_ids.into_iter().zip(message.responses));
    }
    let answers: Vec<Answer> = answered.into_values().map(|answer| answer.cmd.unwrap()).collect();
    let [Answer::Get(value), Answer::Prewrite(prewritten), Answer::Empty(empty), Answer::Get(refused)] =
        answers.as_slice()
    else {
        panic!("{answers:?}")
    };
    assert_eq!((value.value.as_slice(), prewritten.errors.len(), empty.test_id), (&b"2"[..], 0, 7));
    assert!(refused.region_error.as_ref().unwrap().store_not_match.is_some());
    assert_eq!((cluster.calls().of(Rpc::BatchCommands), cluster.calls().of(Rpc::KvGet)), (1, 2));
}

#[tokio::test]
async fn a_command_whose_request_is_dropped_ends_the_stream() {
    let cluster = in_process(1).await;
    let (mut store, context) = Caller::of(&cluster).await.leader().await;
    cluster.faults().add(FaultRule::on(Rpc::KvGet, Fault::DropRequest));
    let requests = vec![Command { cmd: Some(Cmd::Get(get(&context, "k", 1))), ..Command::default() }];
    let batch = BatchCommandsRequest { requests, request_ids: vec![1], ..Default::default() };
    let mut answers = store.batch_commands(futures::stream::iter([batch])).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);
}

fn raw_put(context: &Context, key: &str, value: &str, ttl: u64) -> RawPutRequest {
    let context = Some(context.clone());
    RawPutRequest { context, key: key.into(), value: value.into(), ttl, ..RawPutRequest::default() }
}

#[tokio::test]
async fn a_raw_value_is_gone_when_its_time_is_over() {
    let time = Arc::new(AtomicU64::new(1_000_000));
    let clock = time.clone();
    let clock = Arc::new(move || clock.load(Ordering::Relaxed));
    let cluster = MockCluster::builder().in_process().clock(clock).start().await.unwrap();
    let (mut store, context) = Caller::of(&cluster).await.leader().await;
    for (key, ttl) in [("brief", 10), ("long", 100), ("ever", 0)] {
        store.raw_put(raw_put(&context, key, "1", ttl)).await.unwrap();
    }
    let left = async |store: &mut TikvClient<InProcess>, key: &str| {
        let request =
            RawGetKeyTtlRequest { context: Some(context.clone()), key: key.into(), ..RawGetKeyTtlRequest::default() };
        let response = store.raw_get_key_ttl(request).await.unwrap().into_inner();
        (!response.not_found).then_some(response.ttl)
    };
    time.store(1_009_000, Ordering::Relaxed);
    assert_eq!((left(&mut store, "brief").await, left(&mut store, "long").await), (Some(1), Some(91)));
    assert_eq!(left(&mut store, "ever").await, Some(0));
    time.store(1_010_000, Ordering::Relaxed);
    assert_eq!(left(&mut store, "brief").await, None);
    let request = RawScanRequest { context: Some(context.clone()), limit: 10, ..RawScanRequest::default() };
    assert_eq!(store.raw_scan(request).await.unwrap().into_inner().kvs.len(), 2);
    // What is written anew has the new time.
    store.raw_put(raw_put(&context, "long", "2", 1000)).await.unwrap();
    time.store(1_200_000, Ordering::Relaxed);
    assert_eq!(left(&mut store, "long").await, Some(810));
}

#[tokio::test]
async fn the_checksum_of_raw_ranges_depends_on_what_is_there_and_not_on_the_order() {
    let cluster = in_process(1).await;
    let (mut store, context) = Caller::of(&cluster).await.leader().await;
    for key in ["a", "b", "c"] {
        store.raw_put(raw_put(&context, key, "value", 0)).await.unwrap();
    }
    let mut checksum = async |ranges: &[(&str, &str)]| {
        let ranges = ranges
            .iter()
            .map(|(start, end)| KeyRange { start_key: (*start).into(), end_key: (*end).into(), ..KeyRange::default() })
            .collect();
        let request = RawChecksumRequest { context: Some(context.clone()), ranges, ..RawChecksumRequest::default() };
        let response = store.raw_checksum(request).await.unwrap().into_inner();
        (response.checksum, response.total_kvs, response.total_bytes)
    };
    let all = checksum(&[("a", "d")]).await;
    assert_eq!((all.1, all.2), (3, 18));
    assert_eq!(checksum(&[("b", "d"), ("a", "b")]).await, all);
    assert_ne!(checksum(&[("a", "c")]).await.0, all.0);
    assert_eq!(checksum(&[]).await, (0, 0, 0));
}

#[tokio::test]
async fn versions_go_when_the_safe_point_moves_and_not_by_a_call_to_a_store() {
    let cluster = in_process(1).await;
    let mut caller = Caller::of(&cluster).await;
    let (mut store, context) = caller.leader().await;
    two_versions(&cluster, &mut store, &context).await;
    let safe_point = cluster.timestamp();
    let request = GcRequest { context: Some(context.clone()), safe_point, ..GcRequest::default() };
    assert_eq!(store.kv_gc(request).await.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(cluster.sizes().writes, 2);

    let header = caller.header();
    let barrier = pdpb::SetGcBarrierRequest {
        header: header.clone(),
        barrier_id: "backup".to_owned(),
        barrier_ts: 1,
        ttl_seconds: 60,
        ..Default::default()
    };
    assert!(caller.pd.set_gc_barrier(barrier).await.unwrap().into_inner().new_barrier_info.is_some());
    let advance = pdpb::AdvanceTxnSafePointRequest { header: header.clone(), target: safe_point, ..Default::default() };
    let blocked = caller.pd.advance_txn_safe_point(advance.clone()).await.unwrap().into_inner();
    assert_eq!(blocked.new_txn_safe_point, 1);
    assert!(blocked.blocker_description.contains("backup"));
    let collect = pdpb::AdvanceGcSafePointRequest { header: header.clone(), target: safe_point, ..Default::default() };
    let refused = caller.pd.advance_gc_safe_point(collect.clone()).await.unwrap().into_inner();
    assert!(refused.header.unwrap().error.unwrap().message.contains("exceeds"));

    let barrier =
        pdpb::DeleteGcBarrierRequest { header: header.clone(), barrier_id: "backup".to_owned(), ..Default::default() };
    assert!(caller.pd.delete_gc_barrier(barrier).await.unwrap().into_inner().deleted_barrier_info.is_some());
    assert_eq!(caller.pd.advance_txn_safe_point(advance).await.unwrap().into_inner().new_txn_safe_point, safe_point);
    assert_eq!(caller.pd.advance_gc_safe_point(collect).await.unwrap().into_inner().new_gc_safe_point, safe_point);
    assert_eq!(cluster.sizes().writes, 1);
    let state = pdpb::GetGcStateRequest { header, ..Default::default() };
    let state = caller.pd.get_gc_state(state).await.unwrap().into_inner().gc_state.unwrap();
    assert_eq!((state.txn_safe_point, state.gc_safe_point, state.gc_barriers.len()), (safe_point, safe_point, 0));
}

#[tokio::test]
async fn pd_tells_of_itself_of_many_regions_at_once_and_of_timestamps() {
    let cluster = MockCluster::builder().in_process().start().await.unwrap();
    let mut caller = Caller::of(&cluster).await;
    let header = caller.header();
    // The keyspace DEFAULT is apart, raw and transactional.
    let starts: Vec<Vec<u8>> = cluster.regions().into_iter().map(|region| region.start_key).collect();
    assert_eq!(starts, [&b""[..], b"r\0\0\0", b"r\0\0\x01", b"x\0\0\0", b"x\0\0\x01"]);

    let info = caller.pd.get_cluster_info(pdpb::GetClusterInfoRequest::default()).await.unwrap().into_inner();
    assert_eq!(info.header.unwrap().cluster_id, cluster.cluster_id());
    assert_eq!(info.service_modes, [i32::from(pdpb::ServiceMode::PdSvcMode)]);

    let range = |start: &[u8], end: &[u8]| pdpb::KeyRange {
        start_key: start.to_vec(),
        end_key: end.to_vec(),
        ..pdpb::KeyRange::default()
    };
    let request = pdpb::BatchScanRegionsRequest {
        header: header.clone(),
        ranges: vec![range(b"a", b"b"), range(b"c", b"d"), range(b"y", b"")],
        ..Default::default()
    };
    let regions = caller.pd.batch_scan_regions(request.clone()).await.unwrap().into_inner().regions;
    assert_eq!(regions.len(), 2, "a region is told once");
    let request = pdpb::BatchScanRegionsRequest { ranges: vec![range(b"c", b"d"), range(b"a", b"b")], ..request };
    assert!(caller.pd.batch_scan_regions(request).await.is_err());

    let known = regions[0].region.clone().unwrap();
    let request = pdpb::QueryRegionRequest {
        header: header.clone(),
        keys: vec![b"a".to_vec(), b"y".to_vec()],
        prev_keys: vec![b"a".to_vec()],
        ids: vec![known.id, 999],
        ..Default::default()
    };
    let mut answers = caller.pd.query_region(futures::stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!((answer.key_id_map.len(), answer.key_id_map[0], answer.prev_key_id_map), (2, known.id, vec![0]));
    assert_eq!(answer.regions_by_id[&known.id].region, Some(known));
    assert_eq!(answers.message().await.unwrap(), None);

    let before = cluster.timestamp();
    let request = pdpb::GetMinTsRequest { header: header.clone(), ..pdpb::GetMinTsRequest::default() };
    let timestamp = caller.pd.get_min_ts(request).await.unwrap().into_inner().timestamp.unwrap();
    assert!((timestamp.physical << 18 | timestamp.logical) as u64 > before);

    let request = pdpb::SplitRegionsRequest { header, split_keys: vec![b"m".to_vec()], ..Default::default() };
    let split = caller.pd.split_regions(request).await.unwrap().into_inner();
    assert_eq!((split.finished_percentage, split.regions_id.len()), (100, 1));
    assert_eq!(cluster.regions().len(), 6);
}

#[tokio::test]
async fn servers_say_that_they_are_well_until_they_stop() {
    let cluster = in_process(1).await;
    let store = cluster.stores()[0].address.to_string();
    for address in [&store, &cluster.pd_endpoints()[0]] {
        let mut health = HealthClient::new(cluster.connect(address).unwrap());
        let response = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving);
        let unknown = HealthCheckRequest { service: "unknown".to_owned(), ..HealthCheckRequest::default() };
        assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
    }
    let mut health = HealthClient::new(cluster.connect(&store).unwrap());
    let mut watched = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    cluster.stop_store(1).await.unwrap();
    assert!(watched.message().await.is_err());
    assert!(health.check(HealthCheckRequest::default()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_lets_waits_pass_at_once() {
    let cluster = in_process(1).await;
    let (mut store, context) = Caller::of(&cluster).await.leader().await;
    store.kv_pessimistic_lock(lock(&context, "k", cluster.timestamp())).await.unwrap();
    let started = tokio::time::Instant::now();
    let waits = PessimisticLockRequest { wait_timeout: 900, ..lock(&context, "k", cluster.timestamp()) };
    let response = store.kv_pessimistic_lock(waits).await.unwrap().into_inner();
    assert!(response.errors[0].locked.is_some());
    assert_eq!(started.elapsed(), Duration::from_millis(900));
    cluster.faults().add(FaultRule::on(Rpc::KvGet, Fault::Delay(Duration::from_secs(3600))).nth(1));
    store.kv_get(get(&context, "k", 1)).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(3600));
}

#[tokio::test]
async fn a_transaction_is_flushed_bit_by_bit_since_8_0() {
    for version in TikvVersion::ALL {
        let cluster = MockCluster::builder().in_process().version(version).start().await.unwrap();
        let (mut store, context) = Caller::of(&cluster).await.leader().await;
        let start = cluster.timestamp();
        let flush = |generation, mutations| FlushRequest {
            context: Some(context.clone()),
            mutations,
            primary_key: b"k".to_vec(),
            start_ts: start,
            generation,
            lock_ttl: 3000,
            ..FlushRequest::default()
        };
        let first = store.kv_flush(flush(1, vec![put("k", "1"), put("other", "1")])).await;
        if version == TikvVersion::V7_5 {
            assert_eq!(first.unwrap_err().code(), Code::Unimplemented);
            continue;
        }
        assert_eq!(first.unwrap().into_inner(), FlushResponse::default());
        assert_eq!(store.kv_flush(flush(3, vec![put("k", "3")])).await.unwrap().into_inner().errors, []);
        // A flush that comes late changes nothing.
        assert_eq!(store.kv_flush(flush(2, vec![put("k", "2")])).await.unwrap().into_inner().errors, []);
        let request = BufferBatchGetRequest {
            context: Some(context.clone()),
            keys: vec![b"k".to_vec(), b"other".to_vec(), b"none".to_vec()],
            version: start,
            ..BufferBatchGetRequest::default()
        };
        let pairs = store.kv_buffer_batch_get(request).await.unwrap().into_inner().pairs;
        let values: Vec<&[u8]> = pairs.iter().map(|pair| pair.value.as_slice()).collect();
        assert_eq!(values, [b"3", b"1"]);
        assert!(!store.kv_flush(flush(0, Vec::new())).await.unwrap().into_inner().errors.is_empty());
        let insert = Mutation { op: Op::Insert.into(), ..put("k", "4") };
        let errors = store.kv_flush(flush(4, vec![insert])).await.unwrap().into_inner().errors;
        assert!(errors[0].already_exist.is_some());
    }
}

/// What a newer client adds to every message changes nothing of what the request means.
#[tokio::test]
async fn the_unknown_fields_of_a_newer_client_change_nothing() {
    fn newer<M: prost::Message + Default>(message: &M) -> M {
        let mut bytes = message.encode_to_vec();
        // A field of the number 1000 with two bytes.
        bytes.extend([0xc2, 0x3e, 2, 7, 7]);
        M::decode(bytes.as_slice()).unwrap()
    }
    let cluster = in_process(1).await;
    let (mut store, mut context) = Caller::of(&cluster).await.leader().await;
    context.region_epoch = context.region_epoch.as_ref().map(newer);
    context.peer = context.peer.as_ref().map(newer);
    let context = newer(&context);
    let start = cluster.timestamp();
    // Twice, as a retry.
    for _ in 0..2 {
        let request = newer(&prewrite(&context, start, vec![newer(&put("k", "1"))]));
        let answer = store.kv_prewrite(request).await.unwrap().into_inner();
        assert_eq!((answer.region_error, answer.errors), (None, vec![]));
    }
    let answer = store.kv_commit(newer(&commit(&context, "k", start, cluster.timestamp()))).await.unwrap().into_inner();
    assert_eq!((answer.region_error, answer.error), (None, None));
    let get =
        GetRequest { context: Some(context), key: b"k".into(), version: cluster.timestamp(), ..Default::default() };
    let answer = store.kv_get(newer(&get)).await.unwrap().into_inner();
    assert_eq!((answer.value.as_slice(), answer.unknown_fields), (&b"1"[..], None));
}
