//! Members that run by themselves.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tito_core::clock::Clock;
use tito_core::prelude::*;
use tokio::sync::watch;

use super::support::*;
use crate::membership::{Membership, Owned};
use crate::queue::TitoQueue;

fn count(owned: &Arc<Owned>) -> usize {
    owned.values().map(|partitions| partitions.len()).sum()
}

/// A member that runs, with a worker that follows what it owns.
struct Running {
    member: Arc<Membership>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

fn start(db: &Database, number: u128) -> Running {
    let mut node = Node::new(db, number, &["user"]);
    let member = Arc::new(member(db.clone(), number, &["user"]));
    let (stop, stopped) = watch::channel(false);
    let running = member.clone();
    let task = tokio::spawn(async move {
        let mut owned = running.owned();
        let follow = async {
            loop {
                owned.borrow_and_update();
                follow(&running, &mut node).await;
                if owned.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = running.run(stopped) => {}
            () = follow => {}
        }
    });
    Running { member, stop, task }
}

/// Like [`Node::follow`], for a member that is shared with its task.
async fn follow(member: &Membership, node: &mut Node) {
    let owned = member.owned().borrow().clone();
    for (place, lease) in std::mem::take(&mut node.serving) {
        if owned.get(&place.0).and_then(|partitions| partitions.get(&place.1)) == Some(&lease) {
            node.serving.insert(place, lease);
        } else {
            member.release(&place.0, place.1).await;
        }
    }
    for (queue, partitions) in owned.iter() {
        for (partition, lease) in partitions {
            if member.begin(queue, *partition, lease) {
                node.serving.insert((queue.clone(), *partition), lease.clone());
            }
        }
    }
}

#[tokio::test]
async fn members_of_one_process_share_out_at_once_while_the_clock_stands_still() {
    let (db, _clock) = database().await;
    create_topic(&db, "user", 32).await;
    let first = start(&db, 1);
    first.member.owned().wait_for(|owned| count(owned) == 32).await.unwrap();
    let second = start(&db, 2);
    let mut shared = second.member.owned();
    while count(&shared.borrow_and_update()) + count(&first.member.owned().borrow()) != 32
        || count(&shared.borrow()) == 0
    {
        shared.changed().await.unwrap();
    }
    second.stop.send_replace(true);
    second.task.await.unwrap();
    first.member.owned().wait_for(|owned| count(owned) == 32).await.unwrap();
    let members = TitoQueue::new(db.clone()).members("billing").await.unwrap();
    assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [first.member.id]);
}

#[tokio::test]
async fn a_fleet_that_runs_takes_over_from_a_dead_member_within_two_lease_times() {
    let (db, clock) = database().await;
    create_topic(&db, "user", 32).await;
    let (first, second) = (start(&db, 1), start(&db, 2));
    for running in [&first, &second] {
        running.member.owned().wait_for(|owned| (1..32).contains(&count(owned))).await.unwrap();
    }
    second.task.abort();
    let _ = second.task.await;
    let deadline = clock.now_millis() + 2 * LEASE.as_millis() as u64;
    let mut owned = first.member.owned();
    while count(&owned.borrow_and_update()) < 32 {
        assert!(clock.now_millis() < deadline, "{} of 32", count(&owned.borrow()));
        clock.advance(PERIOD);
        heartbeat_of(&db, &first).await;
    }
}

/// Waits until the member has given a heartbeat at the clock's present time, and the round with it is over.
async fn heartbeat_of(db: &Database, running: &Running) {
    loop {
        let members = TitoQueue::new(db.clone()).members("billing").await.unwrap();
        let member = members.iter().find(|member| member.id == running.member.id).unwrap();
        if member.heartbeat_age.is_zero() {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(running.member.turn.lock().await);
}

#[tokio::test]
async fn a_stopped_member_keeps_its_leases_until_its_partitions_are_released() {
    let (db, _clock) = database().await;
    create_topic(&db, "user", 2).await;
    let member = Arc::new(member(db.clone(), 1, &["user"]));
    let (stop, stopped) = watch::channel(false);
    let running = member.clone();
    let task = tokio::spawn(async move { running.run(stopped).await });
    let mut owned = member.owned();
    let all = owned.wait_for(|owned| count(owned) == 2).await.unwrap().clone();
    for (partition, lease) in &all["user"] {
        assert!(member.begin("user", *partition, lease));
    }
    stop.send_replace(true);
    owned.wait_for(|owned| count(owned) == 0).await.unwrap();
    member.release("user", 0).await;
    let stored = leases(&db, "user").await;
    assert_eq!(stored.iter().map(|lease| lease.member).collect::<Vec<_>>(), [None, Some(member.id)]);
    assert!(!task.is_finished());
    member.release("user", 1).await;
    task.await.unwrap();
    assert!(leases(&db, "user").await.iter().all(|lease| lease.member.is_none()));
}

#[tokio::test]
async fn leaving_ends_a_member_that_is_stopped_with_partitions_that_never_end() {
    let (db, _clock) = database().await;
    create_topic(&db, "user", 2).await;
    let member = Arc::new(member(db.clone(), 1, &["user"]));
    let (_stop, stopped) = watch::channel(false);
    let running = member.clone();
    let task = tokio::spawn(async move { running.run(stopped).await });
    let all = member.owned().wait_for(|owned| count(owned) == 2).await.unwrap().clone();
    assert!(member.begin("user", 0, &all["user"][&0]));
    member.leave().await;
    task.await.unwrap();
    assert!(leases(&db, "user").await.iter().all(|lease| lease.member.is_none()));
    assert_eq!(TitoQueue::new(db).members("billing").await.unwrap(), []);
}

#[tokio::test]
async fn a_member_whose_engine_hangs_says_exactly_after_a_lease_time_that_all_is_lost() {
    let (db, clock) = database().await;
    create_topic(&db, "user", 4).await;
    // Calls never return while the engine hangs.
    let (hang, hangs) = watch::channel(false);
    let database = before_each(db.clone(), move || {
        let mut hangs = hangs.clone();
        async move { drop(hangs.wait_for(|hangs| !hangs).await) }.boxed()
    });
    let member = Arc::new(member(database, 1, &["user"]));
    let (_stop, stopped) = watch::channel(false);
    let running = member.clone();
    let task = tokio::spawn(async move { running.run(stopped).await });
    let mut owned = member.owned();
    owned.wait_for(|owned| count(owned) == 4).await.unwrap();
    drop(member.turn.lock().await);
    hang.send_replace(true);
    clock.advance(LEASE - Duration::from_millis(1));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(count(&owned.borrow_and_update()), 4);
    clock.advance(Duration::from_millis(1));
    owned.wait_for(|owned| count(owned) == 0).await.unwrap();
    // What the engine was asked while it hung is cancelled as well, and once it answers everything goes on.
    clock.advance(LEASE);
    hang.send_replace(false);
    owned.wait_for(|owned| count(owned) == 4).await.unwrap();
    task.abort();
}
