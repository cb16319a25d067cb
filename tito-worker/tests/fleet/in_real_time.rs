//! Workers in processes of their own, on the machine's clock: killed by SIGKILL, paused by SIGSTOP.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tito_core::Database;
use tito_core::tikv::TiKVBackend;
use tito_testkit::MockCluster;
use tito_worker::TitoQueue;

use crate::ledger::{Ledger, backlog, create_topics};
use crate::work::worker;
use crate::{MORE_PARTITIONS, TOPICS, WORKERS};

/// In the environment of a child: the cluster's PD.
const PD: &str = "TITO_FLEET_PD";

const LEASE: Duration = Duration::from_secs(2);
const ROUNDS: u64 = 60;

/// Short, so that changing the number of partitions waits for few seconds.
const TRANSACTION_AGE: Duration = Duration::from_secs(3);

/// A worker's process.
struct Node {
    process: Child,
    is_paused: bool,
}

impl Node {
    fn start(addresses: &[String]) -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "in_real_time::worker_process", "--nocapture", "--test-threads=1"])
            .env(PD, addresses.join(","))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, is_paused: false }
    }

    fn signal(&mut self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill {signal}");
        self.is_paused = signal == "-STOP";
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Also where an assertion has failed: no process outlives the test.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn connect(addresses: Vec<String>) -> Database {
    TiKVBackend::builder(addresses).max_transaction_age(TRANSACTION_AGE).connect().await.unwrap()
}

/// What a child runs, until it is killed. Does nothing in a run of all tests.
#[test]
fn worker_process() {
    let Ok(addresses) = std::env::var(PD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = connect(addresses.split(',').map(str::to_string).collect()).await;
        // A child whose test has gone without killing it ends by itself.
        worker(&db, LEASE).run(tokio::time::sleep(Duration::from_secs(300))).await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_of_processes_that_are_killed_and_stopped_loses_nothing_and_keeps_the_order() {
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let cluster = MockCluster::builder()
        .stores(3)
        .split_at(["event:plain", "event:strict", "lease:", "note:"])
        .start()
        .await
        .unwrap();
    let addresses = cluster.pd_endpoints();
    let db = connect(addresses.clone()).await;
    create_topics(&db).await;
    let mut ledger = Ledger::default();
    let mut nodes: Vec<Node> = (0..WORKERS).map(|_| Node::start(&addresses)).collect();
    let mut resizing = None;
    for round in 0..ROUNDS {
        for _ in 0..random.usize(1..6) {
            ledger.publish(&db, &mut random).await;
        }
        if round == ROUNDS / 2 {
            let queue = TitoQueue::new(db.clone());
            resizing = Some(tokio::spawn(async move {
                let [first, second, third] = TOPICS.map(|topic| queue.resize_topic(topic, MORE_PARTITIONS));
                futures::try_join!(first, second, third).unwrap();
            }));
        }
        let node = &mut nodes[random.usize(..WORKERS)];
        match random.u8(..8) {
            0 => {
                node.kill();
                *node = Node::start(&addresses);
            }
            1 if !node.is_paused => node.signal("-STOP"),
            2..=4 if node.is_paused => node.signal("-CONT"),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(random.u64(50..400))).await;
    }
    for node in nodes.iter_mut().filter(|node| node.is_paused) {
        node.signal("-CONT");
    }
    resizing.unwrap().await.unwrap();
    let mut looks = 0;
    while backlog(&db).await > 0 {
        looks += 1;
        assert!(looks < 1_200, "the backlog does not drain: {} left", backlog(&db).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{} events, {looks} looks to drain", ledger.events());
    ledger.check(&db).await;
}
