//! What a fleet comes to, rounds made by hand.

use std::time::Duration;

use futures::FutureExt;
use tito_core::Database;

use super::support::*;
use crate::membership::LeaseInfo;
use crate::queue::TitoQueue;

async fn fleet_of(count: u128, partitions: u16) -> (Database, HandClock, Vec<Node>) {
    let (db, clock) = database().await;
    create_topic(&db, "user", partitions).await;
    let mut nodes: Vec<_> = (1..=count).map(|number| Node::new(&db, number, &["user"])).collect();
    settle(&mut nodes, &clock).await;
    (db, clock, nodes)
}

#[tokio::test]
async fn a_member_alone_serves_every_partition_of_its_queues_after_one_round() {
    let (db, _clock) = database().await;
    create_topic(&db, "user", 5).await;
    let mut node = Node::new(&db, 1, &["user", "user@mail", "email"]);
    node.step().await;
    assert_eq!(node.partitions("user"), [0, 1, 2, 3, 4]);
    assert_eq!(node.partitions("user@mail"), [0, 1, 2, 3, 4]);
    assert_eq!(node.partitions("email").len(), 16, "a topic that was never used has the default number");
}

#[tokio::test]
async fn members_share_the_partitions_of_the_queues_that_they_serve() {
    let (db, clock) = database().await;
    create_topic(&db, "user", 64).await;
    create_topic(&db, "email", 64).await;
    let mut nodes =
        vec![Node::new(&db, 1, &["user"]), Node::new(&db, 2, &["user", "email"]), Node::new(&db, 3, &["email"])];
    settle(&mut nodes, &clock).await;
    owners(&db, &nodes, "user", 64).await;
    owners(&db, &nodes, "email", 64).await;
    let counts = nodes.iter().map(|node| (node.partitions("user").len(), node.partitions("email").len()));
    let counts: Vec<_> = counts.collect();
    assert!(counts[0].1 == 0 && counts[2].0 == 0, "{counts:?}");
    assert!([counts[0].0, counts[1].0, counts[1].1, counts[2].1].iter().all(|count| *count > 16), "{counts:?}");
}

#[tokio::test]
async fn a_member_that_joins_takes_its_share_and_nothing_else_moves() {
    let (db, clock, mut nodes) = fleet_of(4, 64).await;
    let before = owners(&db, &nodes, "user", 64).await;
    let epochs_before = leases(&db, "user").await;
    nodes.push(Node::new(&db, 5, &["user"]));
    settle(&mut nodes, &clock).await;
    let after = owners(&db, &nodes, "user", 64).await;
    let new = nodes[4].member.id;
    let moved = after.iter().filter(|(partition, owner)| before[partition] != **owner);
    assert!(moved.clone().all(|(_, owner)| *owner == new), "{before:?} {after:?}");
    assert!(moved.count() > 4, "the new member got next to nothing");
    for (before, after) in epochs_before.iter().zip(leases(&db, "user").await) {
        assert_eq!(after.epoch, before.epoch + u64::from(after.member == Some(new)), "{after:?}");
    }
}

#[tokio::test]
async fn the_partitions_of_a_dead_member_are_claimed_within_two_lease_times_and_no_others_move() {
    let (db, clock, mut nodes) = fleet_of(4, 64).await;
    let before = owners(&db, &nodes, "user", 64).await;
    // It dies just after its heartbeat.
    nodes[0].step().await;
    let dead = nodes.remove(0);
    assert!(!dead.serving.is_empty());
    for _ in 0..5 {
        clock.advance(PERIOD);
        for node in &mut nodes {
            node.step().await;
        }
    }
    let after = owners(&db, &nodes, "user", 64).await;
    for (partition, owner) in after {
        assert!(before[&partition] == owner || before[&partition] == dead.member.id, "{partition} moved");
    }
}

#[tokio::test]
async fn a_member_that_leaves_is_replaced_without_waiting_for_its_lease() {
    let (db, _clock, mut nodes) = fleet_of(3, 64).await;
    let left = nodes.remove(0);
    left.member.leave().await;
    assert_eq!(TitoQueue::new(db.clone()).members("billing").await.unwrap().len(), 2);
    for node in &mut nodes {
        node.step().await;
    }
    owners(&db, &nodes, "user", 64).await;
}

#[tokio::test]
async fn a_partition_moves_only_once_it_has_stopped_at_its_old_owner() {
    let (db, clock, mut nodes) = fleet_of(1, 16).await;
    nodes.push(Node::new(&db, 2, &["user"]));
    // The first member's worker does not look: its handlers run on.
    for _ in 0..6 {
        clock.advance(PERIOD);
        nodes[0].member.round().await.unwrap();
        nodes[1].step().await;
    }
    assert_eq!(nodes[0].serving.len(), 16);
    assert!(nodes[1].serving.is_empty());
    settle(&mut nodes, &clock).await;
    let owners = owners(&db, &nodes, "user", 16).await;
    assert!(nodes.iter().all(|node| owners.values().any(|owner| *owner == node.member.id)));
}

#[tokio::test]
async fn a_member_paused_past_its_lease_finds_its_leases_lost_and_disturbs_nobody() {
    let (db, clock, mut nodes) = fleet_of(2, 32).await;
    let paused = nodes.remove(0);
    let had = paused.serving.clone();
    clock.advance(LEASE);
    nodes[0].step().await;
    assert_eq!(nodes[0].serving.len(), 32, "the other one has claimed everything");
    let taken = leases(&db, "user").await;
    for (place, lease) in &had {
        let stored = get(&db, crate::membership::Lease::key(&place.0, place.1)).await;
        assert!(!lease.is_held(stored.as_deref()), "an acknowledgement under the old lease is refused");
        // Its worker comes to an end with what it was doing.
        paused.member.release(&place.0, place.1).await;
    }
    assert_eq!(leases(&db, "user").await, taken, "releasing a lost lease touched the new owner's");
    paused.member.round().await.unwrap();
    assert!(paused.member.owned().borrow().is_empty());
    assert_eq!(leases(&db, "user").await, taken);
}

#[tokio::test]
async fn a_member_that_was_late_claims_anew_what_nobody_took() {
    let (db, clock, mut nodes) = fleet_of(1, 8).await;
    let before = leases(&db, "user").await;
    clock.advance(LEASE);
    nodes[0].step().await;
    let after = leases(&db, "user").await;
    let raised: Vec<LeaseInfo> =
        before.into_iter().map(|lease| LeaseInfo { epoch: lease.epoch + 1, ..lease }).collect();
    assert_eq!(after, raised);
    owners(&db, &nodes, "user", 8).await;
}

#[tokio::test]
async fn leases_stay_where_they_are_while_every_heartbeat_is_in_time() {
    let (db, clock, mut nodes) = fleet_of(2, 16).await;
    let before = leases(&db, "user").await;
    for _ in 0..20 {
        clock.advance(LEASE - Duration::from_millis(1));
        for node in &mut nodes {
            node.step().await;
        }
    }
    assert_eq!(leases(&db, "user").await, before);
}

#[tokio::test]
async fn a_partition_that_is_no_longer_served_is_given_back_and_a_new_one_is_claimed() {
    use tito_core::event::Topic;
    let (db, clock, mut nodes) = fleet_of(2, 8).await;
    for partitions in [12, 5] {
        let changed = Topic::change(&db, "user", |topic, _| async move { Ok(Some(Topic { partitions, ..topic })) });
        changed.await.unwrap();
        settle(&mut nodes, &clock).await;
        owners(&db, &nodes, "user", partitions).await;
    }
    let free = leases(&db, "user").await.into_iter().filter(|lease| lease.member.is_none());
    assert_eq!(free.map(|lease| lease.partition).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10, 11]);
}

#[tokio::test]
async fn the_rows_of_members_that_died_long_ago_are_removed() {
    let (db, clock, mut nodes) = fleet_of(3, 8).await;
    drop(nodes.drain(..2));
    let queue = TitoQueue::new(db.clone());
    clock.advance(LEASE * 10);
    nodes[0].step().await;
    let members = queue.members("billing").await.unwrap();
    assert_eq!(members.iter().filter(|member| !member.live).count(), 2);
    clock.advance(LEASE);
    nodes[0].step().await;
    let members = queue.members("billing").await.unwrap();
    assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [nodes[0].member.id]);
}

#[tokio::test]
async fn two_fleets_on_one_queue_never_serve_a_partition_twice() {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use crate::membership::Membership;
    let (db, clock, mut nodes) = fleet_of(1, 8).await;
    let member = Membership::new(db.clone(), "shipping".into(), options(9), vec![Arc::from("user")]);
    nodes.push(Node { member, serving: BTreeMap::new() });
    settle(&mut nodes, &clock).await;
    assert_eq!(nodes[1].serving.len(), 0);
    owners(&db, &nodes, "user", 8).await;
    drop(nodes.remove(0));
    clock.advance(LEASE);
    settle(&mut nodes, &clock).await;
    owners(&db, &nodes, "user", 8).await;
}

#[tokio::test]
async fn members_are_listed_with_what_they_do() {
    let (db, clock) = database().await;
    let mut options = options(1);
    options.name = Some("host-3/17".to_string());
    let queues = vec!["user".into(), "email@audit".into()];
    let member = crate::membership::Membership::new(db.clone(), "billing".into(), options, queues);
    member.set_in_flight("user", 7);
    member.set_in_flight("email@audit", 1);
    member.set_in_flight("email@audit", 0);
    member.round().await.unwrap();
    clock.advance(Duration::from_secs(2));
    let listed = TitoQueue::new(db.clone()).members("billing").await.unwrap();
    assert_eq!(
        serde_json::to_value(&listed).unwrap(),
        serde_json::json!([{
            "id": member.id,
            "name": "host-3/17",
            "queues": ["email@audit", "user"],
            "started_millis": 1_767_225_600_000u64,
            "heartbeat_age_millis": 2_000,
            "lease_millis": 15_000,
            "live": true,
            "in_flight": { "user": 7 },
        }])
    );
}

#[tokio::test]
async fn names_that_cannot_be_a_fleet_or_a_queue_are_refused() {
    let (db, _clock) = database().await;
    let queue = TitoQueue::new(db.clone());
    assert!(queue.members("a:b").await.unwrap_err().to_string().contains("fleet"));
    assert!(queue.leases("a@b@c").await.unwrap_err().to_string().contains("group"));
    let member = crate::membership::Membership::new(db.clone(), String::new(), options(1), Vec::new());
    assert!(member.round().await.unwrap_err().to_string().contains("fleet"));
}

/// As for a worker of thousands of topics.
#[tokio::test]
async fn a_member_lives_through_a_round_that_takes_longer_than_its_lease() {
    let (db, clock) = database().await;
    let queues: Vec<String> = (0..40).map(|number| format!("queue{number:02}")).collect();
    for queue in &queues {
        create_topic(&db, queue, 1).await;
    }
    let slow = before_each(db, move || {
        clock.advance(Duration::from_secs(1));
        std::future::ready(()).boxed()
    });
    let member = member(slow, 1, &queues.iter().map(String::as_str).collect::<Vec<_>>());
    // Leases are lost at the very moment that they are too old, also in the middle of a round.
    tokio::select! {
        biased;
        () = member.watch_for_lateness() => {}
        round = member.round() => assert!(round.is_ok()),
    }
    assert_eq!(member.owned().borrow().len(), 40);
}
