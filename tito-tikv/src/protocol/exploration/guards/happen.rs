//! What becomes of what an actor waits for.
use std::sync::atomic::Ordering;

use tito_tikv_proto::kvrpcpb::TxnHeartBeatRequest;

use super::Planted;
use super::world::{Pending, TTL_MILLIS, World};
use crate::Timestamp;
use crate::client::core::Attempt;
use crate::protocol::exploration::world::At;
use crate::protocol::{CallId, Event, Request};

impl World<'_> {
    pub(super) async fn deliver(&mut self, number: usize, pending: Pending) {
        match pending {
            Pending::Send { call, region, request } => self.send(number, call, region, request).await,
            Pending::Waiting { call, task } => {
                let reply = task.await.unwrap();
                self.happen(number, Event::Answered { call, reply }).await;
            }
            Pending::Timestamp { call } => {
                let timestamp = Ok(self.cluster.timestamp());
                self.happen(number, Event::Timestamp { call, timestamp }).await;
            }
            Pending::Resolve { call, locks } => {
                let alive = match self.setting.planted {
                    Some(Planted::TakesLocksBeforeTheirTime) => {
                        self.core.clone().settle(locks).await.map(|()| Vec::new())
                    }
                    _ => self.core.clone().resolve_for_write(locks).await,
                };
                self.happen(number, Event::Resolved { call, alive }).await;
            }
            Pending::Pause { call, .. } => self.happen(number, Event::Paused { call }).await,
            Pending::Beat => self.beat(number).await,
            Pending::Release => self.release(number).await,
        }
    }

    /// The server may wait for a lock, while others go on.
    async fn send(&mut self, number: usize, call: CallId, region: At, request: Request) {
        let core = self.core.clone();
        let task = tokio::spawn(async move { core.send(&region, request).await });
        for _ in 0..64 {
            if task.is_finished() {
                let reply = task.await.unwrap();
                return self.happen(number, Event::Answered { call, reply }).await;
            }
            tokio::task::yield_now().await;
        }
        self.actors[number].pending.push_back(Pending::Waiting { call, task });
    }

    async fn beat(&mut self, number: usize) {
        let advise_lock_ttl = self.ttl_millis(number);
        let (start, primary) = (self.actors[number].start, self.actors[number].primary.clone());
        let Some(primary) = primary else { return };
        let Ok(region) = self.core.region_of(primary.as_bytes()).await else { return };
        let request = TxnHeartBeatRequest {
            primary_lock: primary.into(),
            start_version: start,
            advise_lock_ttl,
            ..TxnHeartBeatRequest::default()
        };
        if let Attempt::Response(response) = self.core.attempt(&region, request).await
            && response.error.is_none()
        {
            self.actors[number].lives_until = Timestamp::from_raw(start).physical_millis() + response.lock_ttl;
        }
    }

    /// Time passes, so heartbeats become due.
    pub(super) fn pass(&mut self) {
        self.passed += 1;
        self.clock.fetch_add(TTL_MILLIS * 3 / 5, Ordering::Relaxed);
        for actor in self.actors.iter_mut().filter(|actor| actor.has_heart) {
            actor.pending.push_front(Pending::Beat);
        }
    }
}
