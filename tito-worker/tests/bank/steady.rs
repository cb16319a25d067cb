//! The same with one transfer at a time on one thread, where a seed repeats everything.
//!
//! What faults strike is chosen for one transfer, one kind of call and one of its keys, so that it does not matter in
//! which order the calls to different regions arrive. PD's clock stands still but for what the test turns it by. Real time
//! is used for pauses between attempts only, which change no outcome, and for the deadlines of calls, which are far off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tito_core::clock::{Clock, SystemClock};
use tito_testkit::MockCluster;
use tito_testkit::mock_tikv::{Fault, FaultRule, Rpc};
use tito_worker::PartitionConfig;

use crate::bank::{self, BOUNDARIES, Transfer, account, record};
use crate::certain::{Unknown, unknown};
use crate::checks;
use crate::ledger::{Ledger, Said};
use crate::transfers::{Clerk, Ending};

const TRANSFERS: u64 = 1_000;

/// What one run came to: each transfer's outcome, in order, and the balances at the end.
#[derive(Debug, PartialEq, Eq)]
struct Course {
    outcomes: Vec<(Ending, Said)>,
    balances: Vec<i64>,
}

#[test]
fn one_transfer_at_a_time_takes_the_same_course_whenever_the_seed_is_the_same() {
    let seed = tito_testkit::seed();
    let courses = [(); 2].map(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(seed))
    });
    for said in [Said::Done, Said::NotDone, Said::Unknown] {
        assert!(courses[0].outcomes.iter().any(|(_, other)| *other == said), "no transfer was {said:?}");
    }
    for (number, (one, other)) in courses[0].outcomes.iter().zip(&courses[1].outcomes).enumerate() {
        assert_eq!(one, other, "transfer {number}");
    }
    assert_eq!(courses[0], courses[1]);
}

async fn run(seed: u64) -> Course {
    let mut random = fastrand::Rng::with_seed(seed);
    let now = Arc::new(AtomicU64::new(SystemClock.now_millis()));
    let shown = now.clone();
    let clock = Arc::new(move || shown.load(Ordering::Relaxed));
    let cluster = MockCluster::builder().stores(3).split_at(BOUNDARIES).clock(clock).start().await.unwrap();
    let database = crate::connect(&cluster).await;
    let ledger = Arc::<Ledger>::default();
    let clerk = Clerk::new(&database, &ledger);
    bank::open_accounts(&database).await;

    let mut outcomes = Vec::new();
    for number in 0..TRANSFERS {
        now.fetch_add(random.u64(1..50), Ordering::Relaxed);
        let transfer = Transfer::random(format!("{number:04}"), &mut random);
        let ending = match Ending::random(&mut random) {
            // How far a cancelled commit gets is a matter of real time.
            Ending::Cancelled => Ending::Commit,
            ending => ending,
        };
        let said = match random.u8(..100) {
            kind @ 0..4 => {
                let wanted = if kind % 2 == 0 { Unknown::Done } else { Unknown::NotDone };
                let said = unknown(&cluster, &clerk, &transfer, wanted).await;
                // Past the end of the locks that are left.
                cluster.jump_clock(10_000);
                said
            }
            4..40 => struck(&cluster, &clerk, &transfer, ending, &mut random).await,
            _ => clerk.attempt(&transfer, ending).await,
        };
        outcomes.push((ending, said));
        if number % 100 == 99 {
            bank::worker(&database, PartitionConfig::all()).drain().await.unwrap();
        }
    }
    checks::drain(&cluster, &database).await;
    checks::check(&cluster, &database, &ledger).await;
    let tx = database.begin().await.unwrap();
    let accounts = bank::stored(&tx, "account:").await.unwrap();
    let balances = accounts.values().map(|balance| bank::number(balance)).collect();
    drop((tx, clerk));
    checks::assert_nothing_goes_on(cluster, vec![database]).await;
    Course { outcomes, balances }
}

/// Makes a transfer while calls for one of its keys fail in one way, for so many times.
async fn struck(
    cluster: &MockCluster,
    clerk: &Clerk,
    transfer: &Transfer,
    ending: Ending,
    random: &mut fastrand::Rng,
) -> Said {
    const FAULTS: [Fault; 12] = [
        Fault::NotLeader,
        Fault::EpochNotMatch,
        Fault::RegionNotFound,
        Fault::KeyNotInRegion,
        Fault::ServerIsBusy,
        Fault::StaleCommand,
        Fault::StoreNotMatch,
        Fault::MaxTimestampNotSynced,
        Fault::RaftEntryTooLarge,
        Fault::DropRequest,
        Fault::DropResponse,
        Fault::Delay(Duration::from_millis(2)),
    ];
    let fault = FAULTS[random.usize(..FAULTS.len())].clone();
    let rpc = if random.bool() { Rpc::KvPrewrite } else { Rpc::KvCommit };
    let key = if random.bool() { account(transfer.from.min(transfer.to)) } else { record(&transfer.id) };
    let rule = FaultRule::on(rpc, fault).keys(key).first(random.u64(1..4));
    let rule = cluster.faults().add(rule);
    let said = clerk.attempt(transfer, ending).await;
    cluster.faults().remove(rule);
    said
}
