use std::time::Instant;

use tikv_client::Error;
use tito_mock_tikv::{Fault, FaultRule, Rpc};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_heals_the_region_errors_that_a_change_of_the_topology_gives() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    let healed = [
        Fault::NotLeader,
        Fault::EpochNotMatch,
        Fault::RegionNotFound,
        Fault::KeyNotInRegion,
        Fault::StaleCommand,
        Fault::StoreNotMatch,
    ];
    for (round, fault) in healed.iter().enumerate() {
        for rpc in [Rpc::KvPrewrite, Rpc::KvGet] {
            cluster.faults().add(FaultRule::on(rpc, fault.clone()).nth(1));
        }
        put(&client, "kiwi", &round.to_string()).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(get(&client, "kiwi").await, Some(round.to_string()), "{fault:?}");
        assert_eq!(cluster.faults().injected().of(fault), 2, "{fault:?}");
        cluster.faults().clear();
    }
    assert_eq!(cluster.faults().injected().total(), 2 * healed.len() as u64);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_passes_on_the_region_errors_of_a_store_in_trouble() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    for fault in [Fault::ServerIsBusy, Fault::MaxTimestampNotSynced, Fault::RaftEntryTooLarge] {
        let rule = cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, fault.clone()));
        let error = put(&client, "kiwi", "1").await.unwrap_err();
        assert!(format!("{error:?}").contains("RegionError"), "{fault:?}: {error:?}");
        assert!(cluster.faults().remove(rule));
        assert!(!cluster.faults().remove(rule), "it is gone");
    }
    put(&client, "kiwi", "2").await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_response_is_dropped_is_done() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    // More often than the client tries. It says no more than that the call failed.
    let rule = cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::DropResponse).keys("kiwi"));
    let error = put(&client, "kiwi", "1").await.unwrap_err();
    assert!(matches!(error, Error::GrpcAPI(_) | Error::UndeterminedError(_)), "{error:?}");
    cluster.faults().remove(rule);
    assert_eq!(get(&client, "kiwi").await.as_deref(), Some("1"));
    assert_eq!(cluster.locks(), []);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_dropped_leaves_a_lock_to_look_at() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    let rule = cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::DropRequest));
    put(&client, "kiwi", "1").await.unwrap_err();
    cluster.faults().remove(rule);
    let locks = cluster.locks();
    assert_eq!(locks.len(), 1);
    assert_eq!((locks[0].key.as_slice(), locks[0].primary.as_slice()), (&b"kiwi"[..], &b"kiwi"[..]));
    assert_eq!(locks[0].kind, tito_mock_tikv::LockKind::Put);
    // The lock is taken for dead when its time is over by PD's clock.
    cluster.jump_clock(60_000);
    assert_eq!(get(&client, "kiwi").await, None);
    assert_eq!(cluster.locks(), []);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_is_made_again() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    put(&client, "kiwi", "1").await.unwrap();
    cluster.faults().add(FaultRule::on(Rpc::KvGet, Fault::CloseConnection).nth(1));
    assert_eq!(get(&client, "kiwi").await.as_deref(), Some("1"));
    cluster.faults().add(FaultRule::on(Rpc::Tso, Fault::CloseConnection).nth(1));
    put_when_reconnected(&client, "kiwi", "2").await;
    assert_eq!(cluster.faults().injected().of(&Fault::CloseConnection), 2);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_call_takes_that_long() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    put(&client, "kiwi", "1").await.unwrap();
    let delay = Duration::from_millis(50);
    cluster.faults().add(FaultRule::on(Rpc::KvGet, Fault::Delay(delay)).first(1));
    let start = Instant::now();
    assert_eq!(get(&client, "kiwi").await.as_deref(), Some("1"));
    assert!(start.elapsed() >= delay);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_call_goes_on_when_its_rule_is_removed() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    put(&client, "kiwi", "1").await.unwrap();
    let rule = cluster.faults().add(FaultRule::on(Rpc::KvGet, Fault::Hang));
    let reading = tokio::spawn(async move { get(&client, "kiwi").await });
    while cluster.faults().injected().of(&Fault::Hang) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!reading.is_finished());
    cluster.faults().remove(rule);
    assert_eq!(reading.await.unwrap().as_deref(), Some("1"));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_pd_strike_pd_only() {
    let cluster = three_stores().await;
    let client = connect(&cluster).await;
    put(&client, "kiwi", "1").await.unwrap();
    cluster.faults().add(FaultRule::on(Rpc::GetMembers, Fault::NoLeader));
    assert!(TransactionClient::new(cluster.pd_endpoints()).await.is_err());
    cluster.faults().clear();
    cluster.faults().add(FaultRule::on(Rpc::GetMembers, Fault::PdError));
    assert!(TransactionClient::new(cluster.pd_endpoints()).await.is_err());
    cluster.faults().clear();

    let physical = client.current_timestamp().await.unwrap().physical;
    cluster.faults().add(FaultRule::on(Rpc::Tso, Fault::ClockJump(3_600_000)).nth(1));
    assert!(client.current_timestamp().await.unwrap().physical >= physical + 3_600_000);
    assert_eq!(get(&client, "kiwi").await.as_deref(), Some("1"));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_faults_repeat_with_their_seed() {
    let mut runs = Vec::new();
    for seed in [3, 3, 4] {
        let cluster = MockCluster::builder().start().await.unwrap();
        let client = connect(&cluster).await;
        put(&client, "kiwi", "1").await.unwrap();
        cluster.faults().add(FaultRule::on_any(Fault::ServerIsBusy).keys("ki").with_probability(0.3, seed));
        let mut failed = Vec::new();
        for round in 0..40 {
            let mut transaction = begin(&client).await;
            if transaction.get("kiwi".to_owned()).await.is_err() {
                failed.push(round);
            }
            transaction.rollback().await.unwrap();
        }
        assert!(!failed.is_empty() && failed.len() < 40, "seed {seed}");
        runs.push(failed);
        cluster.shutdown().await;
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}
