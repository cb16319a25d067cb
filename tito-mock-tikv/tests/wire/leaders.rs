//! What a new leader does not know.
use super::*;

fn async_prewrite(context: &Context, start: u64) -> PrewriteRequest {
    PrewriteRequest { use_async_commit: true, ..prewrite(context, start, vec![put("k", "1")]) }
}

#[tokio::test]
async fn a_new_leader_refuses_to_calculate_timestamps_until_it_has_asked_pd() {
    let cluster = in_process(2).await;
    let mut caller = Caller::of(&cluster).await;
    cluster.hold_max_ts(true);
    cluster.elect_leader("k", 2).unwrap();
    let (mut store, context) = caller.leader().await;
    let start = cluster.timestamp();
    let one_phase = PrewriteRequest { try_one_pc: true, ..prewrite(&context, start, vec![put("k", "1")]) };
    for request in [async_prewrite(&context, start), one_phase] {
        let response = store.kv_prewrite(request).await.unwrap().into_inner();
        assert!(response.region_error.unwrap().max_timestamp_not_synced.is_some());
    }
    // Others don't need to know.
    let two_phases = prewrite(&context, start, vec![put("other", "1")]);
    assert_eq!(store.kv_prewrite(two_phases).await.unwrap().into_inner(), PrewriteResponse::default());
    cluster.hold_max_ts(false);
    let response = store.kv_prewrite(async_prewrite(&context, start)).await.unwrap().into_inner();
    assert!(response.region_error.is_none() && response.min_commit_ts > start);
}

#[tokio::test]
async fn a_new_leader_asks_pd_in_vain_while_that_has_no_leader() {
    let cluster = in_process(2).await;
    let mut caller = Caller::of(&cluster).await;
    cluster.transfer_leader("k", 2).unwrap();
    let (mut store, context) = caller.leader().await;
    cluster.remove_pd_leader();
    let response = store.kv_prewrite(async_prewrite(&context, 10)).await.unwrap().into_inner();
    assert!(response.region_error.unwrap().max_timestamp_not_synced.is_some());
    cluster.restore_pd_leader();
    assert!(store.kv_prewrite(async_prewrite(&context, 10)).await.unwrap().into_inner().region_error.is_none());
}

#[tokio::test]
async fn a_read_at_a_timestamp_that_is_not_pds_binds_only_the_store_that_served_it() {
    let cluster = in_process(2).await;
    let mut caller = Caller::of(&cluster).await;
    let (mut store, context) = caller.leader().await;
    // Far beyond what PD has given out: a client that makes its own timestamps.
    let invented = cluster.timestamp() + (1 << 40);
    store.kv_get(get(&context, "k", invented)).await.unwrap();
    let start = cluster.timestamp();
    let response = store.kv_prewrite(async_prewrite(&context, start)).await.unwrap().into_inner();
    assert!(response.min_commit_ts > invented);

    let cluster = in_process(2).await;
    let mut caller = Caller::of(&cluster).await;
    let (mut store, context) = caller.leader().await;
    store.kv_get(get(&context, "k", invented)).await.unwrap();
    cluster.transfer_leader("k", 2).unwrap();
    let (mut store, context) = caller.leader().await;
    let start = cluster.timestamp();
    let response = store.kv_prewrite(async_prewrite(&context, start)).await.unwrap().into_inner();
    assert!(start < response.min_commit_ts && response.min_commit_ts < invented, "the snapshot changes");
}

#[tokio::test]
async fn pessimistic_locks_go_with_a_leader_that_fails_and_stay_when_it_hands_over() {
    for (fails, in_memory, left) in [(true, true, 0), (false, true, 1), (true, false, 1)] {
        let cluster =
            MockCluster::builder().stores(2).in_process().in_memory_pessimistic_locks(in_memory).start().await.unwrap();
        let mut caller = Caller::of(&cluster).await;
        let (mut store, context) = caller.leader().await;
        let start = cluster.timestamp();
        let response = store.kv_pessimistic_lock(lock(&context, "k", start)).await.unwrap().into_inner();
        assert_eq!(response.errors, []);
        if fails {
            cluster.elect_leader("k", 2).unwrap()
        } else {
            cluster.transfer_leader("k", 2).unwrap()
        }
        assert_eq!(cluster.locks().len(), left, "fails: {fails}, in memory: {in_memory}");
    }
}

#[tokio::test]
async fn a_store_that_stops_loses_its_pessimistic_locks_and_no_others() {
    let cluster = in_process(2).await;
    let mut caller = Caller::of(&cluster).await;
    let (mut store, context) = caller.leader().await;
    let start = cluster.timestamp();
    store.kv_pessimistic_lock(lock(&context, "a", start)).await.unwrap();
    store.kv_prewrite(prewrite(&context, start, vec![put("b", "1")])).await.unwrap();
    cluster.stop_store(1).await.unwrap();
    let keys: Vec<Vec<u8>> = cluster.locks().into_iter().map(|lock| lock.key).collect();
    assert_eq!(keys, [b"b"]);
    assert!(store.kv_get(get(&context, "k", start)).await.is_err(), "it can't be reached");
    let (mut store, context) = caller.leader().await;
    assert!(store.kv_get(get(&context, "k", start)).await.unwrap().into_inner().region_error.is_none());
}
