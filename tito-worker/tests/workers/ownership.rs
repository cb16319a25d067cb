//! Fleets whose members share out partitions by themselves.

use std::future::pending;
use std::time::Duration;

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Gate, TestClock};
use tito_worker::WorkerBuilder;
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Subscription, WorkerError, WorkerReport};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::*;

const LEASE: Duration = Duration::from_secs(15);

/// A member of the fleet `billing` that counts each entity's events where it acknowledges them, and tells who it is.
fn member(db: &Database, name: &'static str, tell: &mpsc::UnboundedSender<&'static str>) -> WorkerBuilder {
    let tell = tell.clone();
    let handler = move |event: TitoEvent, tx: Transaction| {
        let tell = tell.clone();
        async move {
            count(&tx, format!("effect:{}", event.entity)).await?;
            let _ = tell.send(name);
            Done::Ok(())
        }
    };
    let builder = Worker::builder(TitoQueue::new(db.clone())).join("billing").lease_time(LEASE).member_name(name);
    builder.subscribe_with("job", Subscription::default(), handler)
}

/// A worker that can only be killed.
fn start_mortal(builder: WorkerBuilder) -> JoinHandle<Result<WorkerReport, WorkerError>> {
    let worker = builder.build();
    tokio::spawn(async move { worker.run(pending()).await })
}

/// Waits until each of these members owns something and together they own all partitions of the topic `job`.
async fn shared_out(db: &Database, names: &[&str], partitions: usize) {
    let queue = TitoQueue::new(db.clone());
    loop {
        let members = queue.members("billing").await.unwrap();
        let leases = queue.leases("job").await.unwrap();
        let owners = leases.iter().filter_map(|lease| lease.member);
        let name_of = |id| members.iter().find(|member| member.id == id && member.live)?.name.clone();
        let mut owners: Vec<String> = owners.filter_map(name_of).collect();
        let count = owners.len();
        owners.sort();
        owners.dedup();
        if count == partitions && owners == names {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn all_counted(db: &Database, entities: usize) {
    while counts(db, "effect:").await.len() < entities {
        tokio::task::yield_now().await;
    }
}

#[fact]
pub async fn members_of_a_fleet_handle_everything_once_while_they_come_and_go(db: Database, _: TestClock) {
    TitoQueue::new(db.clone()).create_topic("job", 64).await.unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    let first = Running::start(member(&db, "first", &tell));
    publish(&db, (0..50).map(job)).await;
    let second = Running::start(member(&db, "second", &tell));
    publish(&db, (50..100).map(job)).await;
    shared_out(&db, &["first", "second"], 64).await;
    publish(&db, (100..200).map(job)).await;
    all_counted(&db, 200).await;
    let done = first.stop().await.done;
    shared_out(&db, &["second"], 64).await;
    publish(&db, (200..250).map(job)).await;
    all_counted(&db, 250).await;
    assert_eq!(done + second.stop().await.done, 250);
    assert_eq!(counts(&db, "effect:").await, [1; 250]);
    assert_eq!(stored(&db, "event:").await.len(), 0);
    assert_eq!(stored(&db, "member:").await.len(), 0);
    let mut tellers: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    tellers.sort();
    tellers.dedup();
    assert_eq!(tellers, ["first", "second"], "both took part");
}

#[fact]
pub async fn the_partitions_of_a_killed_member_are_served_within_two_lease_times(db: Database, clock: TestClock) {
    TitoQueue::new(db.clone()).create_topic("job", 64).await.unwrap();
    let (tell, _told) = mpsc::unbounded_channel();
    let (killed, other) = (start_mortal(member(&db, "killed", &tell)), Running::start(member(&db, "other", &tell)));
    shared_out(&db, &["killed", "other"], 64).await;
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    publish(&db, (0..100).map(job)).await;
    for _ in 0..6 {
        clock.advance(LEASE / 3);
        heartbeat(&db, "other").await;
    }
    all_counted(&db, 100).await;
    assert_eq!(other.stop().await.done, 100);
    assert_eq!(counts(&db, "effect:").await, [1; 100]);
}

/// Waits until a member has said that it lives at the clock's present time.
async fn heartbeat(db: &Database, name: &str) {
    let queue = TitoQueue::new(db.clone());
    loop {
        let members = queue.members("billing").await.unwrap();
        let member = members.iter().find(|member| member.name.as_deref() == Some(name)).unwrap();
        if member.heartbeat_age.is_zero() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[fact]
pub async fn an_effect_that_begins_after_its_lease_was_lost_waits_for_a_new_lease(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    let gate = Gate::new();
    let handler = {
        let gate = gate.clone();
        move |event: TitoEvent, tx: Transaction| {
            let gate = gate.clone();
            async move {
                if event.action == "first" {
                    gate.pass().await;
                }
                let lease = tx.get(&keys::lease("job", 0)).await?.unwrap_or_default();
                tx.insert(format!("done under:{}", event.action).into_bytes(), lease).await?;
                Done::Ok(())
            }
        }
    };
    let builder = Worker::builder(TitoQueue::new(db.clone())).join("billing").lease_time(LEASE);
    let running = Running::start(builder.subscribe_with("job", Subscription::default(), handler));
    // Of one entity, so that the second is handed out when the first is done.
    publish(&db, [job("a").action("first")]).await;
    publish(&db, [job("a").action("second")]).await;
    gate.arrivals(1).await;
    // Somebody else has claimed the partition, and died.
    let other = r#"{"member":"00000000-0000-0000-0000-000000000007","fleet":"billing","epoch":40}"#;
    put(&db, keys::lease("job", 0), other).await;
    gate.open();
    // The next round finds it out, if nothing does before, and claims the partition anew.
    clock.advance(LEASE / 3);
    while !stored(&db, "event:").await.is_empty() {
        tokio::task::yield_now().await;
    }
    let (_, lease) = &stored(&db, "done under:second").await[0];
    let lease = String::from_utf8(lease.clone()).unwrap();
    assert!(lease.contains("\"epoch\":41"), "it was done under {lease}");
    assert_eq!(running.stop().await.done, 2);
}
