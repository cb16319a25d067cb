//! Locks of others: of a client that died at some step, and of one that commits asynchronously.
use std::time::Duration;

use tito_mock_tikv::{Fault, FaultRule, InProcess, MockCluster, Rpc};
use tito_tikv::{Client, Error, Outcome, Reason, Timestamp};
use tito_tikv_proto::kvrpcpb::{CommitRequest, Context, Mutation, Op, PrewriteRequest};
use tito_tikv_proto::metapb::{Peer, RegionEpoch};
use tito_tikv_proto::pdpb::pd_client::PdClient;
use tito_tikv_proto::pdpb::{GetRegionByIdRequest, RequestHeader};
use tito_tikv_proto::tikvpb::tikv_client::TikvClient;

use crate::support::{client, cluster, quiet};

/// Another client, which sends what it is told and no more.
struct Stranger<'c> {
    cluster: &'c MockCluster,
    start: u64,
}

impl Stranger<'_> {
    fn begin(cluster: &MockCluster) -> Stranger<'_> {
        Stranger { cluster, start: cluster.timestamp() }
    }

    async fn reach(&self, key: &str) -> (TikvClient<InProcess>, Context) {
        let regions = self.cluster.regions();
        let region = regions.iter().rfind(|region| region.start_key.as_slice() <= key.as_bytes()).unwrap();
        let pd = self.cluster.connect(&self.cluster.pd_endpoints()[0]).unwrap();
        let header = Some(RequestHeader { cluster_id: self.cluster.cluster_id(), ..RequestHeader::default() });
        let request = GetRegionByIdRequest { header, region_id: region.id, need_buckets: false, ..Default::default() };
        let told = PdClient::new(pd).get_region_by_id(request).await.unwrap().into_inner();
        let (meta, leader): (_, Peer) = (told.region.unwrap(), told.leader.unwrap());
        let epoch: RegionEpoch = meta.region_epoch.unwrap();
        let address = self.cluster.stores()[leader.store_id as usize - 1].address.to_string();
        let context =
            Context { region_id: region.id, region_epoch: Some(epoch), peer: Some(leader), ..Context::default() };
        (TikvClient::new(self.cluster.connect(&address).unwrap()), context)
    }

    async fn prewrite(&self, key: &str, change: impl FnOnce(&mut PrewriteRequest)) {
        let (mut store, context) = self.reach(key).await;
        let mut request = PrewriteRequest {
            context: Some(context),
            mutations: vec![Mutation {
                op: Op::Put.into(),
                key: key.into(),
                value: b"s".to_vec(),
                ..Mutation::default()
            }],
            primary_lock: b"a".to_vec(),
            start_version: self.start,
            lock_ttl: 3_000,
            min_commit_ts: self.start + 1,
            txn_size: 2,
            ..PrewriteRequest::default()
        };
        change(&mut request);
        let answer = store.kv_prewrite(request).await.unwrap().into_inner();
        assert!(answer.errors.is_empty() && answer.region_error.is_none(), "{answer:?}");
    }

    async fn commit(&self, key: &str) -> u64 {
        let (mut store, context) = self.reach(key).await;
        let commit_version = self.cluster.timestamp();
        let request = CommitRequest {
            context: Some(context),
            start_version: self.start,
            keys: vec![key.into()],
            commit_version,
            ..CommitRequest::default()
        };
        let answer = store.kv_commit(request).await.unwrap().into_inner();
        assert!(answer.error.is_none(), "{answer:?}");
        commit_version
    }
}

async fn read(client: &Client, at: Timestamp, key: &str) -> Option<Vec<u8>> {
    client.snapshot(at).get(key).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_locks_of_a_transaction_whose_primary_is_committed_are_read_through_and_committed() {
    let cluster = cluster(MockCluster::builder().stores(2).split_at(["b"])).await;
    let client = client(&cluster).await;
    let stranger = Stranger::begin(&cluster);
    stranger.prewrite("a", |_| ()).await;
    stranger.prewrite("b", |_| ()).await;
    let before = client.timestamp().await.unwrap();
    let at = stranger.commit("a").await;
    assert_eq!(read(&client, Timestamp::from_raw(at), "b").await.as_deref(), Some(&b"s"[..]));
    assert_eq!(read(&client, before, "b").await, None, "it was committed later");
    quiet().await;
    assert!(cluster.locks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reader_pushes_a_living_transaction_and_does_not_wait() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let client = client(&cluster).await;
    let stranger = Stranger::begin(&cluster);
    stranger.prewrite("a", |_| ()).await;
    stranger.prewrite("b", |_| ()).await;
    let begun = tokio::time::Instant::now();
    let snapshot = client.snapshot(client.timestamp().await.unwrap());
    assert_eq!(snapshot.get("b").await.unwrap(), None);
    assert!(begun.elapsed() < Duration::from_millis(100));
    let at = stranger.commit("a").await;
    assert!(at > snapshot.timestamp().raw());
    assert_eq!(snapshot.scan::<&str>(.., 9).await.unwrap(), [], "what the snapshot did not have it never has");
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_the_time_to_live_and_not_longer() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let client = client(&cluster).await;
    let stranger = Stranger::begin(&cluster);
    stranger.prewrite("a", |_| ()).await;
    stranger.prewrite("b", |_| ()).await;
    let begun = tokio::time::Instant::now();
    let mut transaction = client.begin().await.unwrap();
    transaction.put("b", "v");
    transaction.commit().await.committed().unwrap();
    let waited = begun.elapsed();
    assert!((3_000..3_500).contains(&(waited.as_millis() as u64)), "{waited:?}");
    assert_eq!(read(&client, Timestamp::MAX, "a").await, None);
    quiet().await;
    assert!(cluster.locks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_orphan_whose_primary_was_never_written_is_rolled_back_after_its_time() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let client = client(&cluster).await;
    let stranger = Stranger::begin(&cluster);
    stranger.prewrite("b", |_| ()).await;
    let begun = tokio::time::Instant::now();
    let at = client.timestamp().await.unwrap();
    assert_eq!(read(&client, at, "b").await, None);
    assert!(begun.elapsed() >= Duration::from_millis(3_000), "its primary may have been on its way");
    // The primary is rolled back for good: a prewrite that comes late yet finds that.
    quiet().await;
    assert!(cluster.locks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_two_that_hold_what_the_other_wants_the_younger_one_commits_and_nobody_waits_for_long() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let (older, younger) = (client(&cluster).await, client(&cluster).await);
    let (mut first, mut second) = (older.begin().await.unwrap(), younger.begin().await.unwrap());
    assert!(first.start() < second.start());
    first.put("a", "first");
    first.put("b", "first");
    second.put("b", "second");
    second.put("a", "second");
    let begun = tokio::time::Instant::now();
    // The first has `a` and the second `b` before either of them asks for the other key.
    let late = Fault::Delay(Duration::from_millis(100));
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, late.clone()).keys("b").first(1));
    let first = tokio::spawn(first.commit());
    tokio::time::sleep(Duration::from_millis(10)).await;
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, late).keys("a").first(1));
    let (second, first) = (second.commit().await, first.await.unwrap());
    assert!(matches!(first, Outcome::NotCommitted(Reason::Locked { .. })), "{first:?}");
    assert!(matches!(second, Outcome::Committed(_)), "{second:?}");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_outlives_the_deadline_is_told_with_its_holder() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let client = client(&cluster).await;
    let stranger = Stranger::begin(&cluster);
    for key in ["a", "b"] {
        stranger.prewrite(key, |request| request.lock_ttl = 60_000).await;
    }
    let mut transaction = client.begin().await.unwrap();
    transaction.put("b", "v");
    match transaction.commit().await {
        Outcome::NotCommitted(Reason::Locked { key, holder }) => {
            assert_eq!((key.as_bytes(), holder.raw()), (&b"b"[..], stranger.start));
        }
        found => panic!("expected a lock, found {found:?}"),
    }
    // Of a transaction without a lowest commit timestamp nobody can push it.
    let other = Stranger::begin(&cluster);
    other
        .prewrite("c", |request| {
            request.lock_ttl = 60_000;
            request.min_commit_ts = 0;
            request.primary_lock = b"c".to_vec();
        })
        .await;
    let error = client.snapshot(client.timestamp().await.unwrap()).get("c").await.unwrap_err();
    assert!(matches!(&error, Error::Deadline { .. }), "{error:?}");
    assert!(matches!(stranger.commit("a").await, 1..), "it could be committed all the while");
}

#[tokio::test(start_paused = true)]
async fn an_asynchronous_commit_is_found_by_its_secondaries() {
    for missing in [false, true] {
        let cluster = cluster(MockCluster::builder().stores(2).split_at(["b", "c"])).await;
        let client = client(&cluster).await;
        let stranger = Stranger::begin(&cluster);
        stranger
            .prewrite("a", |request| {
                request.use_async_commit = true;
                request.secondaries = vec![b"b".to_vec(), b"c".to_vec()];
            })
            .await;
        stranger.prewrite("b", |request| request.use_async_commit = true).await;
        if !missing {
            stranger.prewrite("c", |request| request.use_async_commit = true).await;
        }
        let begun = tokio::time::Instant::now();
        let at = client.timestamp().await.unwrap();
        let expected = (!missing).then(|| b"s".to_vec());
        for key in ["b", "a"] {
            assert_eq!(read(&client, at, key).await, expected, "{key}, missing: {missing}");
        }
        assert!(begun.elapsed() >= Duration::from_secs(3), "it is left alone as long as it may live");
        quiet().await;
        assert!(cluster.locks().is_empty());
        assert_eq!(cluster.calls().of(Rpc::KvCheckSecondaryLocks), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_is_collected_once_all_locks_before_it_are_settled() {
    let cluster = cluster(MockCluster::builder().stores(2).split_at(["b", "c"])).await;
    let client = client(&cluster).await;
    for value in ["1", "2"] {
        let mut transaction = client.begin().await.unwrap();
        for key in ["a", "b", "c"] {
            transaction.put(key, value);
        }
        transaction.commit().await.committed().unwrap();
    }
    quiet().await;
    let (dead, committed) = (Stranger::begin(&cluster), Stranger::begin(&cluster));
    dead.prewrite("x", |request| request.primary_lock = b"x".to_vec()).await;
    committed.prewrite("a", |_| ()).await;
    committed.prewrite("d", |_| ()).await;
    committed.commit("a").await;
    let at = client.timestamp().await.unwrap();
    let safe_point = Timestamp::from_raw(at.raw() - 1);
    assert_eq!(client.collect_garbage(at, Duration::from_secs(60)).await.unwrap(), safe_point);
    assert!(cluster.locks().is_empty());
    assert_eq!(cluster.sizes().writes, 4, "one version of each key");
    assert_eq!(read(&client, Timestamp::MAX, "d").await.as_deref(), Some(&b"s"[..]));
    assert_eq!(client.safe_point().await.unwrap(), safe_point);
}

#[tokio::test(start_paused = true)]
async fn safe_points_of_services_are_set_renewed_and_removed() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = client(&cluster).await;
    let at = client.timestamp().await.unwrap();
    let lives = Duration::from_secs(600);
    client.set_service_safe_point("backup", at, lives).await.unwrap();
    let later = client.timestamp().await.unwrap();
    let lowest = client.set_service_safe_point("other", later, lives).await.unwrap();
    assert!(lowest <= at);
    client.set_service_safe_point("backup", later, lives).await.unwrap();
    client.remove_service_safe_point("backup").await.unwrap();
    client.remove_service_safe_point("other").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_range_is_destroyed_on_all_stores_and_an_empty_bound_is_never_sent() {
    let cluster = cluster(MockCluster::builder().stores(3).split_at(["b"])).await;
    let client = client(&cluster).await;
    let mut transaction = client.begin().await.unwrap();
    for key in ["a", "b", "c"] {
        transaction.put(key, "v");
    }
    transaction.commit().await.committed().unwrap();
    quiet().await;
    let limit = Duration::from_secs(60);
    for (start, end) in [("", "b"), ("a", ""), ("b", "a"), ("a", "a")] {
        let refused = client.destroy_range(start.into()..end.into(), limit).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{start:?}..{end:?}");
    }
    assert_eq!(cluster.calls().of(Rpc::UnsafeDestroyRange), 0);
    client.destroy_range(b"a".to_vec()..b"c".to_vec(), limit).await.unwrap();
    assert_eq!(cluster.calls().of(Rpc::UnsafeDestroyRange), 3);
    assert_eq!(client.snapshot(Timestamp::MAX).scan::<&str>(.., 9).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_collected_up_to_the_oldest_transaction_which_goes_on() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let [client, collector] = [client(&cluster).await, client(&cluster).await];
    let (mut older, mut oldest) = (client.begin().await.unwrap(), client.begin().await.unwrap());
    older.put("a", "older");
    oldest.put("b", "oldest");
    let start = oldest.start();
    let held = cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::Hang));
    let collect = async {
        while cluster.locks().len() < 2 {
            tokio::task::yield_now().await;
        }
        let moved = collector.collect_garbage(start, Duration::from_secs(1)).await.unwrap();
        assert!(moved < start, "the records of its rollback would be dropped");
        cluster.faults().remove(held);
    };
    let (older, oldest, ()) = tokio::join!(older.commit(), oldest.commit(), collect);
    assert!(matches!(older, Outcome::NotCommitted(Reason::RolledBack)), "{older:?}");
    oldest.committed().unwrap();
}
