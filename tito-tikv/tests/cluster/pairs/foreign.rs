//! What others do to a transaction's keys and to the cluster.
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tito_mock_tikv::{Fault, FaultRule, MockCluster, Rpc};
use tito_tikv::{Client, Outcome, Timestamp};

use crate::reported::KEYS;
use crate::support::settings;

/// How long a stranger waits for anything: the transaction waits for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Something that is not of the transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Foreign {
    /// Someone reads, before or after the locks' time to live is over for PD.
    Reads { keys: &'static [&'static str], expired: bool },
    /// Someone writes.
    Writes { keys: &'static [&'static str], expired: bool },
    /// A region is split, between the keys if there is a place.
    Split,
    /// The first region is merged with the next one.
    Merge,
    /// Other stores lead all regions of the keys.
    Move,
    /// The store that leads the first key is stopped, and started a little later.
    Restart,
    /// Another member of PD leads.
    MovePd,
    /// Garbage is collected up to the transaction's start.
    Collect,
    /// Whoever collects garbage dies once all locks are gone, and before PD hears of a safe point. (Past a transaction whose
    /// requests are under way there must be none: `docs/outcomes.md`.)
    Settle,
}

const ALL: &[&str] = &KEYS;
const PRIMARY: &[&str] = &["a"];
const LAST: &[&str] = &["c"];

impl Foreign {
    pub(super) const EVERY: [Foreign; 16] = [
        Foreign::Reads { keys: ALL, expired: false },
        Foreign::Reads { keys: ALL, expired: true },
        Foreign::Reads { keys: PRIMARY, expired: true },
        Foreign::Reads { keys: LAST, expired: false },
        Foreign::Reads { keys: LAST, expired: true },
        Foreign::Writes { keys: ALL, expired: true },
        Foreign::Writes { keys: PRIMARY, expired: false },
        Foreign::Writes { keys: LAST, expired: false },
        Foreign::Writes { keys: LAST, expired: true },
        Foreign::Split,
        Foreign::Merge,
        Foreign::Move,
        Foreign::Restart,
        Foreign::MovePd,
        Foreign::Collect,
        Foreign::Settle,
    ];

    /// Whether it can keep the transaction from being committed.
    pub(super) fn is_in_the_way(self) -> bool {
        match self {
            Foreign::Reads { expired, .. } => expired,
            Foreign::Writes { .. } | Foreign::Settle => true,
            _ => false,
        }
    }
}

/// Whoever does all this.
pub(super) struct Stranger {
    cluster: MockCluster,
    client: Client,
    /// The start of the transaction that is looked at.
    pub(super) start: Mutex<Timestamp>,
    /// How many steps are going on.
    pub(super) busy: AtomicUsize,
    /// What became of the writes.
    pub(super) written: Mutex<Vec<(Timestamp, Outcome)>>,
}

impl Stranger {
    pub(super) async fn new(cluster: &MockCluster) -> Stranger {
        let builder = settings(cluster).batch_commands(false).call_deadline(PATIENCE);
        Stranger {
            cluster: cluster.clone(),
            client: builder.connect().await.unwrap(),
            start: Mutex::default(),
            busy: AtomicUsize::new(0),
            written: Mutex::default(),
        }
    }

    pub(super) async fn happen(&self, foreign: Foreign) {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.go_about(foreign).await;
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    async fn go_about(&self, foreign: Foreign) {
        let cluster = &self.cluster;
        match foreign {
            Foreign::Reads { keys, expired } => {
                self.expire(expired);
                if let Ok(now) = self.client.timestamp().await {
                    // One that is locked out gives up.
                    let _ = self.client.snapshot(now).batch_get(keys).await;
                }
            }
            Foreign::Writes { keys, expired } => {
                self.expire(expired);
                if let Ok(mut transaction) = self.client.begin().await {
                    for key in keys {
                        transaction.put(*key, "w");
                    }
                    let start = transaction.start();
                    let outcome = transaction.commit().await;
                    self.written.lock().unwrap().push((start, outcome));
                }
            }
            Foreign::Split => {
                let _ = ["b", "c", "bb", "bbb"].into_iter().find(|key| cluster.split(*key).is_ok());
            }
            Foreign::Merge => {
                let _ = cluster.merge("a");
            }
            Foreign::Move => {
                for region in cluster.regions() {
                    let _ = cluster.transfer_leader(region.start_key, region.leader % 3 + 1);
                }
            }
            Foreign::Restart => {
                let leader = cluster.regions()[0].leader;
                cluster.stop_store(leader).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
                cluster.start_store(leader).await.unwrap();
            }
            Foreign::MovePd => {
                let leader = cluster.pd_leader().unwrap();
                cluster.move_pd_leader(1 - leader).unwrap();
            }
            Foreign::Collect => {
                let start = *self.start.lock().unwrap();
                let _ = self.client.collect_garbage(start, PATIENCE).await;
            }
            Foreign::Settle => {
                cluster.faults().add(FaultRule::on(Rpc::UpdateGcSafePoint, Fault::DropRequest));
                if let Ok(now) = self.client.timestamp().await {
                    let collected = self.client.collect_garbage(now, PATIENCE).await;
                    assert!(collected.is_err(), "PD was not to hear of it");
                }
            }
        }
    }

    fn expire(&self, expired: bool) {
        if expired {
            self.cluster.jump_clock(60_000);
        }
    }
}
