//! What becomes of what an actor waits for.
use tito_tikv_proto::kvrpcpb::GetRequest;

use super::world::{Acting, Pending, World, key};
use crate::client::core::Attempt;
use crate::protocol::resolve::{Asked, Resolve};
use crate::protocol::{Event, Machine, Reply};

impl World<'_> {
    pub(super) async fn deliver(&mut self, number: usize, pending: Pending) {
        match pending {
            Pending::Send { call, region, request } => {
                let reply: Reply = self.core.send(&region, request).await;
                self.happen(number, Event::Answered { call, reply }).await;
            }
            Pending::Timestamp { call } => {
                let timestamp = Ok(self.cluster.timestamp());
                self.happen(number, Event::Timestamp { call, timestamp }).await;
            }
            Pending::Resolve { call, locks } => {
                if self.setting.expired {
                    self.cluster.jump_clock(60_000);
                }
                let alive = self.core.clone().resolve_for_write(locks).await;
                self.happen(number, Event::Resolved { call, alive }).await;
            }
            Pending::Pause { call, .. } => self.happen(number, Event::Paused { call }).await,
            Pending::Look => self.look(number).await,
        }
    }

    /// The stranger reads the last key, and if it is locked asks about the lock's holder.
    async fn look(&mut self, number: usize) {
        if self.setting.expired {
            self.cluster.jump_clock(60_000);
        }
        let now = self.cluster.timestamp();
        let last = key(self.setting.keys - 1);
        let Ok(region) = self.core.region_of(last.as_bytes()).await else { return self.end(number) };
        let request = GetRequest { key: last.into(), version: now, ..GetRequest::default() };
        let lock = match self.core.attempt(&region, request).await {
            Attempt::Response(response) => response.error.and_then(|error| error.locked),
            _ => None,
        };
        let Some(lock) = lock else { return self.end(number) };
        self.actors[number].start = lock.lock_version;
        let mut machine = Resolve::new(Asked {
            start: lock.lock_version,
            primary: lock.primary_lock.clone(),
            locks: vec![lock],
            caller_start: now,
            now,
            is_read: true,
            known: None,
            deadline_millis: 10_000,
        });
        let outputs = machine.start();
        self.actors[number].acting = Acting::Stranger(Box::new(machine));
        self.take_resolve(number, outputs).await;
    }
}
