//! Any sequence of joins, leaves, deaths, pauses and changes of the topic.

use std::collections::BTreeMap;

use fastrand::Rng;
use tito_core::Database;
use tito_core::event::Topic;
use uuid::Uuid;

use super::support::*;

const QUEUES: [&str; 2] = ["user", "user@mail"];

/// A fleet and what has been seen of it.
struct World {
    db: Database,
    clock: HandClock,
    random: Rng,
    /// The members that make rounds, and those that are paused.
    nodes: Vec<(Node, bool)>,
    next_number: u128,
    partitions: u16,
    /// Who served a partition of a queue in an epoch.
    seen: BTreeMap<(PartitionOf, u64), Uuid>,
    /// The largest epoch stored of each partition.
    epochs: BTreeMap<PartitionOf, u64>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let (db, clock) = database().await;
        create_topic(&db, "user", 8).await;
        let random = Rng::with_seed(seed);
        let (seen, epochs) = (BTreeMap::new(), BTreeMap::new());
        Self { db, clock, random, nodes: Vec::new(), next_number: u128::from(seed) << 32, partitions: 8, seen, epochs }
    }

    async fn act(&mut self) {
        let at = if self.nodes.is_empty() { 0 } else { self.random.usize(..self.nodes.len()) };
        match self.random.u32(..100) {
            0..10 if self.nodes.len() < 6 => {
                self.next_number += 1;
                let queues = if self.random.u32(..4) == 0 { &QUEUES[..1] } else { &QUEUES[..] };
                self.nodes.push((Node::new(&self.db, self.next_number, queues), false));
            }
            _ if self.nodes.is_empty() => {}
            10..13 => drop(self.nodes.remove(at)),
            13..16 => {
                let (node, _) = self.nodes.remove(at);
                node.member.leave().await;
            }
            16..26 => self.nodes[at].1 ^= true,
            26..29 => {
                let partitions = self.random.u16(1..=12);
                let change =
                    Topic::change(&self.db, "user", |topic, _| async move { Ok(Some(Topic { partitions, ..topic })) });
                change.await.unwrap();
                self.partitions = partitions;
            }
            29..50 => self.clock.advance(LEASE.mul_f64(self.random.f64() / 2.0)),
            50..80 if !self.nodes[at].1 => _ = self.nodes[at].0.member.round().await.unwrap(),
            _ if !self.nodes[at].1 => self.nodes[at].0.follow().await,
            _ => {}
        }
    }

    /// What holds at any moment.
    async fn check(&mut self) {
        for (node, _) in &self.nodes {
            for (place, lease) in &node.serving {
                let server = *self.seen.entry((place.clone(), lease.epoch)).or_insert(lease.member);
                assert_eq!(server, lease.member, "{place:?} was served by two members in epoch {}", lease.epoch);
            }
        }
        for queue in QUEUES {
            for lease in leases(&self.db, queue).await {
                let largest = self.epochs.entry((queue.into(), lease.partition)).or_default();
                assert!(lease.epoch >= *largest, "{lease:?} of {queue} after epoch {largest}");
                *largest = lease.epoch;
            }
        }
    }

    /// After the last fault each partition has exactly one owner.
    async fn settle(mut self) {
        let mut nodes: Vec<Node> = self.nodes.drain(..).map(|(node, _)| node).collect();
        nodes.push(Node::new(&self.db, 1 << 100, &QUEUES));
        // The dead are known as such after this.
        self.clock.advance(LEASE);
        let rounds = settle(&mut nodes, &self.clock).await;
        for queue in QUEUES {
            owners(&self.db, &nodes, queue, self.partitions).await;
        }
        assert!(rounds <= 8, "it took {rounds} rounds");
        self.nodes = nodes.into_iter().map(|node| (node, false)).collect();
        self.check().await;
    }
}

#[tokio::test]
async fn every_partition_has_exactly_one_owner_after_any_history() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut world = World::new(seed).await;
        for _ in 0..150 {
            world.act().await;
            world.check().await;
        }
        world.settle().await;
    }
}

#[tokio::test]
async fn members_whose_rounds_overlap_never_share_a_lease() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut world = World::new(seed).await;
        for number in 1..=5 {
            world.nodes.push((Node::new(&world.db, number, &QUEUES), false));
        }
        for _ in 0..15 {
            let at = world.random.usize(..6);
            if at < world.nodes.len() {
                world.nodes[at].1 ^= true;
            }
            world.clock.advance(LEASE.mul_f64(world.random.f64() / 2.0));
            let awake = world.nodes.iter_mut().filter(|(_, is_paused)| !is_paused);
            futures::future::join_all(awake.map(|(node, _)| node.step())).await;
            world.check().await;
        }
        world.settle().await;
    }
}
