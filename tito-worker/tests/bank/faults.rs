//! What goes wrong meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use tito_testkit::MockCluster;
use tito_testkit::mock_tikv::{Fault, FaultRule, Rpc};
use tokio::sync::watch;

/// Faults that may strike any call, with how many calls of a hundred thousand each strikes.
const ANYWHERE: [(Fault, u32); 13] = [
    (Fault::NotLeader, 100),
    (Fault::EpochNotMatch, 100),
    (Fault::RegionNotFound, 100),
    (Fault::KeyNotInRegion, 100),
    (Fault::ServerIsBusy, 100),
    (Fault::StaleCommand, 100),
    (Fault::StoreNotMatch, 50),
    (Fault::MaxTimestampNotSynced, 50),
    (Fault::DropRequest, 150),
    (Fault::DropResponse, 150),
    (Fault::Delay(Duration::from_millis(15)), 200),
    (Fault::CloseConnection, 10),
    (Fault::ClockJump(4_000), 5),
];

/// The calls that write, where a fault matters most.
const WRITING: [Rpc; 2] = [Rpc::KvPrewrite, Rpc::KvCommit];

/// The calls that fail together for a moment.
const BURSTS: [Rpc; 7] =
    [Rpc::Tso, Rpc::KvGet, Rpc::KvBatchGet, Rpc::KvScan, Rpc::KvPrewrite, Rpc::KvCommit, Rpc::KvBatchRollback];

/// Adds what goes on all the time: each kind of fault at random, and once for certain; with `pd_fails` those of PD too.
pub fn add_rules(cluster: &MockCluster, random: &mut fastrand::Rng, pd_fails: bool) {
    let mut add = |rule: FaultRule, of_100_000: u32| {
        let rule = rule.with_probability(f64::from(of_100_000) / 100_000.0, random.u64(..));
        cluster.faults().add(rule);
    };
    for rpc in WRITING {
        add(FaultRule::on(rpc, Fault::RaftEntryTooLarge), 100);
        add(FaultRule::on(rpc, Fault::DropRequest), 200);
    }
    // Commits above all: whether they were done is what is asked for.
    add(FaultRule::on(Rpc::KvCommit, Fault::DropResponse), 1_000);
    if pd_fails {
        add(FaultRule::on_any(Fault::NoLeader), 100);
        add(FaultRule::on_any(Fault::PdError), 100);
    }
    for (fault, of_100_000) in ANYWHERE {
        add(FaultRule::on_any(fault), of_100_000);
    }
    for (fault, _) in ANYWHERE {
        cluster.faults().add(FaultRule::on_any(fault).nth(random.u64(1..2_000)));
    }
    if pd_fails {
        cluster.faults().add(FaultRule::on_any(Fault::NoLeader).nth(random.u64(1..500)));
        cluster.faults().add(FaultRule::on_any(Fault::PdError).nth(random.u64(1..500)));
    }
}

/// The kinds that must have struck by the end.
pub fn assert_all_struck(cluster: &MockCluster, pd_fails: bool) {
    let injected = cluster.faults().injected();
    let of_pd = [Fault::NoLeader, Fault::PdError].into_iter().filter(|_| pd_fails);
    for fault in ANYWHERE.into_iter().map(|(fault, _)| fault).chain([Fault::RaftEntryTooLarge]).chain(of_pd) {
        assert!(injected.of(&fault) > 0, "no call met {fault:?}: {injected:?}");
    }
}

/// What happens to the cluster as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Incident {
    /// A few splits, merges and moves of leaders.
    Shuffle,
    /// A store is down, and the others lead its regions.
    StoreStopped,
    /// A store is down, and its regions with it.
    RegionsStopped,
    PdStopped,
    PdWithoutLeader,
    /// PD's streams of timestamps stay open and say nothing.
    TimestampsFrozen,
    ClockJumps,
    /// Most calls of one kind fail for a moment.
    Burst,
}

const INCIDENTS: [Incident; 8] = [
    Incident::Shuffle,
    Incident::StoreStopped,
    Incident::RegionsStopped,
    Incident::PdStopped,
    Incident::PdWithoutLeader,
    Incident::TimestampsFrozen,
    Incident::ClockJumps,
    Incident::Burst,
];

/// Lets incidents happen until told to stop, each of them at least once, and leaves the cluster whole. Returns how often
/// there was which.
pub async fn strike(
    cluster: MockCluster,
    mut random: fastrand::Rng,
    stopped: watch::Receiver<bool>,
    pd_fails: bool,
) -> BTreeMap<Incident, u64> {
    let mut happened = BTreeMap::new();
    let of_pd = |incident: &Incident| matches!(incident, Incident::PdStopped | Incident::PdWithoutLeader);
    let all: Vec<Incident> = INCIDENTS.into_iter().filter(|incident| pd_fails || !of_pd(incident)).collect();
    let mut first = all.clone();
    random.shuffle(&mut first);
    let mut first = first.into_iter();
    loop {
        let incident = match first.next() {
            Some(incident) => incident,
            None if *stopped.borrow() => return happened,
            // Regions move more often than machines fail.
            None if random.u8(..3) > 0 => Incident::Shuffle,
            None => all[random.usize(..all.len())],
        };
        *happened.entry(incident).or_default() += 1;
        let time = Duration::from_millis(random.u64(10..200));
        happen(&cluster, incident, &mut random, time).await;
        tokio::time::sleep(Duration::from_millis(random.u64(200..800))).await;
    }
}

async fn happen(cluster: &MockCluster, incident: Incident, random: &mut fastrand::Rng, time: Duration) {
    let store = random.u64(1..=cluster.stores().len() as u64);
    match incident {
        Incident::Shuffle => {
            for _ in 0..random.u8(1..=3) {
                cluster.shuffle(random);
            }
        }
        Incident::StoreStopped => {
            cluster.stop_store(store).await.unwrap();
            tokio::time::sleep(time).await;
            cluster.start_store(store).await.unwrap();
        }
        Incident::RegionsStopped => {
            cluster.stop_store_with_its_regions(store).await.unwrap();
            tokio::time::sleep(time).await;
            cluster.start_store(store).await.unwrap();
        }
        Incident::PdStopped => {
            cluster.stop_pd().await;
            tokio::time::sleep(time).await;
            cluster.start_pd().await.unwrap();
        }
        Incident::PdWithoutLeader => {
            cluster.remove_pd_leader();
            tokio::time::sleep(time).await;
            cluster.restore_pd_leader();
        }
        Incident::TimestampsFrozen => {
            cluster.freeze_timestamps(true);
            tokio::time::sleep(time).await;
            cluster.freeze_timestamps(false);
        }
        Incident::ClockJumps => cluster.jump_clock(random.i64(1_000..8_000)),
        Incident::Burst => {
            let rpc = BURSTS[random.usize(..BURSTS.len())];
            let fault = if random.bool() { Fault::DropRequest } else { Fault::DropResponse };
            let rule = FaultRule::on(rpc, fault).with_probability(0.7, random.u64(..));
            let rule = cluster.faults().add(rule);
            tokio::time::sleep(time).await;
            cluster.faults().remove(rule);
        }
    }
}
