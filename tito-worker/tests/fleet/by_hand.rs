//! Workers in threads of their own, on a clock that is turned by hand.

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tito_core::Database;
use tito_core::tikv::TiKVBackend;
use tito_testkit::{MockCluster, TestClock};
use tito_worker::TitoQueue;
use tokio::sync::{mpsc, oneshot};

use crate::ledger::{Ledger, backlog, create_topics};
use crate::work::worker;
use crate::{MORE_PARTITIONS, TOPICS, WORKERS};

const LEASE: Duration = Duration::from_secs(6);
const ROUNDS: u64 = 160;
const TICK: Duration = Duration::from_millis(20);

/// A worker whose thread can be held where it is, as a process is by SIGSTOP, and ended without its knowing, as one is
/// by SIGKILL.
struct Node {
    /// Something that the thread is to wait for before it runs anything else.
    holds: mpsc::UnboundedSender<std_mpsc::Receiver<()>>,
    kill: Option<oneshot::Sender<()>>,
    /// Dropped to let a held thread go on.
    held: Option<std_mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    fn start(addresses: Vec<String>, clock: TestClock) -> Self {
        let (holds, mut to_hold) = mpsc::unbounded_channel::<std_mpsc::Receiver<()>>();
        let (kill, killed) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let db = connect(addresses, &clock).await;
                let worker = worker(&db, LEASE);
                let run = worker.run(std::future::pending());
                let hold = async {
                    while let Some(hold) = to_hold.recv().await {
                        // Blocks the only thread of the runtime, so that nothing of this worker goes on.
                        let _ = hold.recv();
                    }
                };
                tokio::select! {
                    _ = run => {}
                    () = hold => {}
                    _ = killed => {}
                }
            });
            // Tasks are dropped where they wait: nothing is recorded, no lease is given back.
            runtime.shutdown_background();
        });
        Self { holds, kill: Some(kill), held: None, thread: Some(thread) }
    }

    fn pause(&mut self) {
        let (resume, hold) = std_mpsc::channel();
        self.held = Some(resume);
        let _ = self.holds.send(hold);
    }

    fn resume(&mut self) {
        self.held = None;
    }

    fn kill(&mut self) {
        self.resume();
        let _ = self.kill.take().map(|kill| kill.send(()));
        self.thread.take().map(JoinHandle::join).transpose().unwrap();
    }
}

async fn connect(addresses: Vec<String>, clock: &TestClock) -> Database {
    TiKVBackend::builder(addresses).clock(clock.shared()).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_whose_workers_die_and_stall_loses_nothing_and_keeps_the_order() {
    let seed = tito_testkit::seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let clock = TestClock::new();
    let oracle = clock.clone();
    let cluster = MockCluster::builder()
        .stores(3)
        .split_at(["event:plain", "event:strict", "lease:", "note:"])
        .clock(Arc::new(move || tito_core::clock::Clock::now_millis(&oracle)))
        .start()
        .await
        .unwrap();
    let db = connect(cluster.pd_endpoints(), &clock).await;
    create_topics(&db).await;
    // Never stands still for good: whoever meets a lock of a worker that was killed waits until its time is over.
    let ticking = tokio::spawn({
        let clock = clock.clone();
        async move {
            loop {
                tokio::time::sleep(TICK).await;
                clock.advance(TICK);
            }
        }
    });
    let mut ledger = Ledger::default();
    let mut nodes: Vec<Node> = (0..WORKERS).map(|_| Node::start(cluster.pd_endpoints(), clock.clone())).collect();
    let mut resizing = None;
    for round in 0..ROUNDS {
        for _ in 0..random.usize(1..4) {
            ledger.publish(&db, &mut random).await;
        }
        if round == ROUNDS / 2 {
            let queue = TitoQueue::new(db.clone());
            resizing = Some(tokio::spawn(async move {
                for topic in TOPICS {
                    queue.resize_topic(topic, MORE_PARTITIONS).await.unwrap();
                }
            }));
        }
        let node = &mut nodes[random.usize(..WORKERS)];
        match random.u8(..10) {
            0 => {
                node.kill();
                *node = Node::start(cluster.pd_endpoints(), clock.clone());
            }
            1 | 2 if node.held.is_none() => node.pause(),
            3..=5 => node.resume(),
            _ => {}
        }
        turn(&clock, Duration::from_millis(random.u64(100..2_500))).await;
    }
    nodes.iter_mut().for_each(Node::resume);
    let mut turns = 0;
    while backlog(&db).await > 0 || resizing.as_ref().is_some_and(|resizing| !resizing.is_finished()) {
        turns += 1;
        assert!(turns < 1_500, "the backlog does not drain: {} left", backlog(&db).await);
        turn(&clock, Duration::from_millis(500)).await;
    }
    resizing.unwrap().await.unwrap();
    println!("{} events, {turns} turns to drain", ledger.events());
    ledger.check(&db).await;
    for (name, topic) in TitoQueue::new(db.clone()).topics(10, None).await.unwrap() {
        assert_eq!((topic.partitions, topic.resized_from), (MORE_PARTITIONS, None), "{name}");
    }
    nodes.iter_mut().for_each(Node::kill);
    ticking.abort();
}

/// Turns the clock in small steps, with some real time for the workers in between: how much decides what a fault meets,
/// not whether the test passes.
async fn turn(clock: &TestClock, by: Duration) {
    let steps = 4;
    for _ in 0..steps {
        clock.advance(by / steps);
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
}
