//! What a client leaves behind that is killed in the middle of a commit, and how others go on.

use std::time::Duration;

use tito_core::keys::KeyRange;
use tito_core::prelude::*;
use tito_test_engines::TestClock;
use tito_test_engines::mock_tikv::{Fault, FaultRule, MockCluster, Rpc};

use crate::support::*;

/// Where the client is killed. The first of the keys [`APART`] is its primary one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Killed {
    /// Others are locked, and the primary key never was.
    PrimaryUnwritten,
    /// The primary key is locked, another never was.
    SecondaryUnwritten,
    /// All keys are locked.
    Uncommitted,
    /// The transaction is committed, and its other keys are locked yet.
    SecondariesUncommitted,
}

impl Killed {
    const ANYWHERE: [Killed; 4] =
        [Killed::PrimaryUnwritten, Killed::SecondaryUnwritten, Killed::Uncommitted, Killed::SecondariesUncommitted];

    /// The call that is never answered, and the keys that are locked then.
    fn at(self) -> (Rpc, &'static str, &'static [&'static str]) {
        match self {
            Killed::PrimaryUnwritten => (Rpc::KvPrewrite, APART[0], &APART[1..]),
            Killed::SecondaryUnwritten => (Rpc::KvPrewrite, APART[3], &APART[..3]),
            Killed::Uncommitted => (Rpc::KvCommit, APART[0], &APART),
            Killed::SecondariesUncommitted => (Rpc::KvCommit, APART[3], &APART[3..]),
        }
    }

    /// Whether the killed transaction took effect.
    fn is_committed(self) -> bool {
        self == Killed::SecondariesUncommitted
    }
}

/// A cluster on which a client was killed while it wrote `dead` to all keys, and another client of it.
struct Scene {
    cluster: MockCluster,
    clock: TestClock,
    db: Database,
    killed: Killed,
}

impl Scene {
    async fn new(killed: Killed, before: Option<&str>) -> Self {
        let clock = TestClock::new();
        let cluster = four_regions_at(&clock).await;
        let db = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
        if let Some(value) = before {
            put_all(&db, &APART, value).await.unwrap();
            no_locks(&cluster).await;
        }
        kill_while_it_commits(&cluster, &clock, killed).await;
        Self { cluster, clock, db, killed }
    }

    /// What everybody sees in the end, of keys that had this value before.
    fn outcome<'a>(&self, before: Option<&'a str>) -> Option<&'a str> {
        if self.killed.is_committed() { Some("dead") } else { before }
    }

    /// Turns the clock until the time of the dead client's locks is over.
    fn let_the_locks_expire(&self) {
        let longest = self.cluster.locks().iter().map(|lock| lock.ttl).max().unwrap();
        self.clock.advance(Duration::from_millis(longest + 1));
    }
}

async fn kill_while_it_commits(cluster: &MockCluster, clock: &TestClock, killed: Killed) {
    let (rpc, key, locked) = killed.at();
    // Only the first such call hangs, for ever: those of others pass.
    cluster.faults().add(FaultRule::on(rpc, Fault::Hang).keys(key).nth(1));
    let process = Process::start(builder(cluster).clock(clock.shared()).rpc_timeout(Duration::from_secs(60))).await;
    let db = process.db.clone();
    process.spawn(async move { put_all(&db, &APART, "dead").await });
    eventually("the locks are those that the client died with", || {
        let locks = cluster.locks();
        let keys: Vec<_> = locks.iter().map(|lock| lock.key.as_slice()).collect();
        keys == locked.iter().map(|key| key.as_bytes()).collect::<Vec<_>>() && cluster.faults().injected().total() > 0
    })
    .await;
    process.kill();
}

async fn scanned(db: &Database, is_reverse: bool) -> Vec<String> {
    let tx = db.begin().await.unwrap();
    let range = KeyRange::new("a", "z");
    let mut rows =
        if is_reverse { tx.scan_reverse(range, 10).await.unwrap() } else { tx.scan(range, 10).await.unwrap() };
    rows.sort();
    rows.into_iter().map(|(key, value)| String::from_utf8([key, value].join(&b'=')).unwrap()).collect()
}

/// What a scan finds where every key has this value.
fn rows_of(value: Option<&str>) -> Vec<String> {
    value.map_or_else(Vec::new, |value| APART.iter().map(|key| format!("{key}={value}")).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_and_see_the_dead_transaction_as_a_whole_or_not_at_all() {
    for killed in Killed::ANYWHERE {
        for read in ["get", "batch_get", "scan", "scan_reverse"] {
            let scene = Scene::new(killed, Some("old")).await;
            scene.let_the_locks_expire();
            let outcome = scene.outcome(Some("old"));
            match read {
                "get" => {
                    for key in APART {
                        assert_eq!(in_time(get(&scene.db, key)).await.as_deref(), outcome, "{killed:?} {key}");
                    }
                }
                "batch_get" => {
                    let values = in_time(get_all(&scene.db, &APART)).await;
                    assert_eq!(values, vec![outcome.map(str::to_string); 4], "{killed:?}");
                }
                scan => {
                    let rows = in_time(scanned(&scene.db, scan == "scan_reverse")).await;
                    assert_eq!(rows, rows_of(outcome), "{killed:?} {scan}");
                    // A scan that knows what became of the transaction reads past the rest of its locks. The next
                    // snapshot meets them.
                    in_time(get_all(&scene.db, &APART)).await;
                }
            }
            no_locks(&scene.cluster).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_go_on() {
    for killed in Killed::ANYWHERE {
        let scene = Scene::new(killed, Some("old")).await;
        scene.let_the_locks_expire();
        in_time(put_all(&scene.db, &APART, "new")).await.unwrap();
        assert_eq!(scanned(&scene.db, false).await, rows_of(Some("new")), "{killed:?}");
        no_locks(&scene.cluster).await;

        let scene = Scene::new(killed, Some("old")).await;
        scene.let_the_locks_expire();
        let deleted = scene.db.transaction(|tx| async move {
            for key in APART {
                tx.delete(key.as_bytes().to_vec()).await?;
            }
            Ok(())
        });
        in_time(deleted).await.unwrap();
        assert_eq!(scanned(&scene.db, false).await, rows_of(None), "{killed:?}");
        no_locks(&scene.cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_reads_the_outcome_and_writes_on_top_of_it() {
    for killed in Killed::ANYWHERE {
        let scene = Scene::new(killed, Some("old")).await;
        scene.let_the_locks_expire();
        let appended = scene.db.transaction(|tx| async move {
            for key in APART {
                let mut value = tx.get(key.as_bytes()).await?.unwrap_or_default();
                value.extend_from_slice(b"+1");
                tx.put(key.as_bytes().to_vec(), value).await?;
            }
            Ok(())
        });
        in_time(appended).await.unwrap();
        let expected = format!("{}+1", scene.outcome(Some("old")).unwrap());
        assert_eq!(scanned(&scene.db, false).await, rows_of(Some(&expected)), "{killed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_fails_only_where_the_dead_transaction_took_effect() {
    for killed in Killed::ANYWHERE {
        let scene = Scene::new(killed, None).await;
        scene.let_the_locks_expire();
        let inserted = scene.db.transaction(|tx| async move {
            for key in APART {
                tx.insert(key.as_bytes().to_vec(), b"new".to_vec()).await?;
            }
            Ok(())
        });
        match (in_time(inserted).await, killed.is_committed()) {
            (Ok(()), false) | (Err(TitoError::AlreadyExists { .. }), true) => {}
            (other, _) => panic!("{killed:?}: {other:?}"),
        }
        let expected = if killed.is_committed() { "dead" } else { "new" };
        assert_eq!(scanned(&scene.db, false).await, rows_of(Some(expected)), "{killed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_its_time_is_over_a_lock_that_may_be_a_living_client_s_is_left_alone() {
    for killed in Killed::ANYWHERE {
        let scene = Scene::new(killed, Some("old")).await;
        let hasty = builder(&scene.cluster)
            .clock(scene.clock.shared())
            .call_deadline(Duration::from_millis(150))
            .connect()
            .await
            .unwrap();
        let before = scene.cluster.locks();
        let read = in_time(hasty.begin().await.unwrap().get(APART[3].as_bytes())).await;
        match killed {
            // What is committed is known to be, however young its locks are.
            Killed::SecondariesUncommitted => assert_eq!(read.unwrap(), Some(b"dead".to_vec())),
            // This one was never locked.
            Killed::SecondaryUnwritten => assert_eq!(read.unwrap(), Some(b"old".to_vec())),
            Killed::PrimaryUnwritten | Killed::Uncommitted => {
                match killed {
                    // Its commit is pushed behind the reader, who need not wait then.
                    Killed::Uncommitted => assert_eq!(read.unwrap(), Some(b"old".to_vec())),
                    _ => assert_unavailable(read, &["get", APART[3]]),
                }
                let writing = hasty.begin().await.unwrap();
                writing.put(APART[3].as_bytes().to_vec(), b"new".to_vec()).await.unwrap();
                assert!(in_time(writing.commit()).await.is_err(), "{killed:?}");
                assert_eq!(scene.cluster.locks(), before, "{killed:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_several_batches_that_died_between_them_heals() {
    let clock = TestClock::new();
    let cluster = four_regions_at(&clock).await;
    let db = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
    // The batch of 16 KiB with the primary key hangs, the others of its region are done.
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Hang).keys("a/000").nth(1));
    let settings = builder(&cluster).clock(clock.shared()).rpc_timeout(Duration::from_secs(60));
    let process = Process::start(settings).await;
    let dying = process.db.clone();
    process.spawn(async move {
        dying
            .transaction(|tx| async move {
                for number in 0..60 {
                    tx.put(format!("a/{number:03}").into_bytes(), vec![b'x'; 1024]).await?;
                }
                Ok(())
            })
            .await
    });
    eventually("most keys are locked", || cluster.locks().len() > 40).await;
    process.kill();
    assert!(cluster.locks().iter().all(|lock| lock.primary == b"a/000" && lock.key != b"a/000"));
    clock.advance(Duration::from_secs(30));
    assert_eq!(in_time(everything(&db)).await, []);
    no_locks(&cluster).await;
}

/// By the system's clock: nobody turns it for the clients of a real cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_waits_in_real_time_until_the_dead_client_s_time_is_over() {
    let cluster = four_regions().await;
    let db = connect(&cluster).await;
    put_all(&db, &APART, "old").await.unwrap();
    no_locks(&cluster).await;
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Hang).keys(APART[0]).nth(1));
    let process = Process::start(builder(&cluster).rpc_timeout(Duration::from_secs(60))).await;
    let dying = process.db.clone();
    process.spawn(async move { put_all(&dying, &APART, "dead").await });
    eventually("the other keys are locked", || cluster.locks().len() == 3).await;
    process.kill();
    let (read, written) = tokio::join!(in_time(get(&db, "melon")), in_time(put_all(&db, &["tomato"], "new")));
    assert_eq!(read.as_deref(), Some("old"));
    written.unwrap();
    assert_eq!(get(&db, "tomato").await.as_deref(), Some("new"));
}
