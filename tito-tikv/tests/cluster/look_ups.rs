//! Look-ups that fail are an error of the call, always.
use std::time::Duration;

use tito_mock_tikv::{Fault, FaultRule, MockCluster, Rpc};
use tito_tikv::{Error, Outcome, Reason, Timestamp};

use crate::support::{client, cluster, quiet, settings};

const FAULTS: [Fault; 4] = [Fault::PdError, Fault::NoLeader, Fault::DropRequest, Fault::DropResponse];

fn is_of_pd(error: &Error) -> bool {
    match error {
        Error::Pd { .. } => true,
        Error::Deadline { last: Some(last), .. } => is_of_pd(last),
        _ => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_some_of_its_regions_is_not_committed() {
    for fault in FAULTS {
        let cluster = cluster(MockCluster::builder().stores(3).split_at(["b", "c"])).await;
        let [client, other] = [client(&cluster).await, client(&cluster).await];
        // The first region is known, the others can't be had.
        client.snapshot(Timestamp::MAX).get("a").await.unwrap();
        cluster.faults().add(FaultRule::on(Rpc::GetRegion, fault.clone()));
        let mut transaction = client.begin().await.unwrap();
        for key in ["a", "b", "c"] {
            transaction.put(key, "v");
        }
        match transaction.commit().await {
            Outcome::NotCommitted(Reason::Failed(error)) => assert!(is_of_pd(&error), "{error:?}"),
            found => panic!("expected an error of PD, found {found:?}"),
        }
        cluster.faults().clear();
        quiet().await;
        assert!(other.snapshot(Timestamp::MAX).scan::<&str>(.., 9).await.unwrap().is_empty());
        assert!(cluster.locks().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_moves_and_cannot_be_looked_up_then_is_not_dropped_in_either_phase() {
    for phase in [Rpc::KvPrewrite, Rpc::KvCommit] {
        let cluster = cluster(MockCluster::builder().stores(3).split_at(["b", "c"])).await;
        let [client, other] = [client(&cluster).await, client(&cluster).await];
        client.snapshot(Timestamp::MAX).batch_get(["a", "b", "c"]).await.unwrap();
        // Every region is forgotten at the first try, and PD fails for a while.
        cluster.faults().add(FaultRule::on(phase, Fault::RegionNotFound).first(3));
        cluster.faults().add(FaultRule::on(Rpc::GetRegion, Fault::PdError).first(12));
        let mut transaction = client.begin().await.unwrap();
        for key in ["a", "b", "c"] {
            transaction.put(key, "v");
        }
        transaction.commit().await.committed().unwrap();
        quiet().await;
        assert_eq!(cluster.faults().injected().of(&Fault::PdError), 12);
        assert_eq!(other.snapshot(Timestamp::MAX).batch_get(["a", "b", "c"]).await.unwrap().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn reads_of_regions_that_cannot_be_had_fail_and_are_never_short() {
    for fault in FAULTS {
        let cluster = cluster(MockCluster::builder().split_at(["b", "c"])).await;
        let writer = client(&cluster).await;
        let mut transaction = writer.begin().await.unwrap();
        for key in ["a", "b", "c"] {
            transaction.put(key, "v");
        }
        let at = transaction.commit().await.committed().unwrap();
        let reader = settings(&cluster).call_deadline(Duration::from_secs(2)).connect().await.unwrap();
        let snapshot = reader.snapshot(at);
        snapshot.get("a").await.unwrap();
        let rules = [Rpc::GetRegion, Rpc::GetPrevRegion, Rpc::ScanRegions, Rpc::GetRegionById]
            .map(|rpc| cluster.faults().add(FaultRule::on(rpc, fault.clone())));
        for error in [
            snapshot.get("b").await.unwrap_err(),
            snapshot.batch_get(["a", "b"]).await.unwrap_err(),
            snapshot.scan("a".., 9).await.unwrap_err(),
            snapshot.scan_reverse(.."c", 9).await.unwrap_err(),
        ] {
            assert!(is_of_pd(&error), "{error:?}");
            assert!(error.can_retry_help());
        }
        for rule in rules {
            cluster.faults().remove(rule);
        }
        assert_eq!(snapshot.scan("a".., 9).await.unwrap().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn without_timestamps_nothing_begins_and_nothing_is_committed() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = client(&cluster).await;
    let mut transaction = client.begin().await.unwrap();
    transaction.put("a", "v");
    cluster.freeze_timestamps(true);
    assert!(
        is_of_pd(&client.begin().await.unwrap_err()) || matches!(client.begin().await, Err(Error::Deadline { .. }))
    );
    assert!(matches!(transaction.commit().await, Outcome::NotCommitted(Reason::Failed(_))));
    cluster.freeze_timestamps(false);
    quiet().await;
    assert_eq!(client.snapshot(Timestamp::MAX).get("a").await.unwrap(), None);
    client.begin().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_of_pd_that_moves_is_followed() {
    let cluster = cluster(MockCluster::builder().pd_members(3)).await;
    let client = client(&cluster).await;
    for member in [1, 2, 0] {
        cluster.move_pd_leader(member).unwrap();
        let mut transaction = client.begin().await.unwrap();
        transaction.put(format!("{member}"), "v");
        transaction.commit().await.committed().unwrap();
    }
    cluster.stop_pd_member(0).await.unwrap();
    cluster.move_pd_leader(2).unwrap();
    client.begin().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_look_up_is_made_once_however_many_ask() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = client(&cluster).await;
    let before = cluster.calls();
    let snapshot = client.snapshot(Timestamp::MAX);
    let reads = (0..64).map(|_| snapshot.get("a"));
    for read in futures::future::join_all(reads).await {
        read.unwrap();
    }
    let calls = cluster.calls().since(&before);
    assert_eq!((calls.of(Rpc::GetRegion), calls.of(Rpc::GetStore)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn regions_are_told_by_a_key_and_by_their_number() {
    let cluster = cluster(MockCluster::builder().stores(3).split_at(["b", "c"])).await;
    let client = client(&cluster).await;
    let found = client.region_of("b7").await.unwrap();
    assert_eq!((found.start.as_slice(), found.end.as_slice()), (&b"b"[..], &b"c"[..]));
    assert_eq!(client.region_by_id(found.id).await.unwrap(), found);
    let error = client.region_by_id(999_999).await.unwrap_err();
    assert!(is_of_pd(&error) && error.can_retry_help(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_again_as_often_as_it_is_allowed() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = settings(&cluster).retries(2).connect().await.unwrap();
    let snapshot = client.snapshot(Timestamp::MAX);
    cluster.faults().add(FaultRule::on(Rpc::KvGet, Fault::ServerIsBusy).first(2));
    snapshot.get("a").await.unwrap();
    cluster.faults().add(FaultRule::on(Rpc::KvGet, Fault::ServerIsBusy));
    let before = cluster.calls();
    let error = snapshot.get("a").await.unwrap_err();
    assert!(matches!(error, Error::Region { lasting: false, .. }), "{error:?}");
    assert_eq!(cluster.calls().since(&before).of(Rpc::KvGet), 3);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_has_no_timestamp_before_it_is_too_old_is_given_up() {
    let cluster = cluster(MockCluster::builder()).await;
    let age = Duration::from_secs(2);
    let client = settings(&cluster).max_transaction_age(age).connect().await.unwrap();
    for hung in [Rpc::KvPrewrite, Rpc::Tso] {
        let mut transaction = client.begin().await.unwrap();
        transaction.put("a", "v");
        cluster.faults().add(FaultRule::on(hung, Fault::Hang));
        let begun = tokio::time::Instant::now();
        let outcome = transaction.commit().await;
        assert!(matches!(outcome, Outcome::NotCommitted(Reason::TooOld { limit_millis: 2_000, .. })), "{outcome:?}");
        // With the second that a caller waits for the rollback.
        assert!(begun.elapsed() <= age + Duration::from_secs(2), "{hung:?}: {:?}", begun.elapsed());
        cluster.faults().clear();
        quiet().await;
        assert!(cluster.locks().is_empty());
    }
}
