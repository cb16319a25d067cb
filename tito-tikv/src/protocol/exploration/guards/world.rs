//! Two holders of pessimistic locks and a writer of the same keys, on an in-process cluster.
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tito_mock_tikv::MockCluster;
use tito_tikv_proto::kvrpcpb::{LockInfo, Mutation, Op};
use tokio::task::JoinHandle;

use super::{Planted, Setting};
use crate::client::core::Core;
use crate::protocol::acquire::{Acquire, LockedKey, Wanted};
use crate::protocol::commit::{Commit, Plan};
use crate::protocol::exploration::chooser::Chooser;
use crate::protocol::exploration::in_process::InProcess;
use crate::protocol::exploration::world::{At, key};
use crate::protocol::resolve::{Asked, Resolve, Status};
use crate::protocol::{CallId, Event, Machine, Output, Pause, Reply, Request};
use crate::{Client, Error, Outcome, PdFailure, Timestamp};

/// How long locks live without a heartbeat, in milliseconds.
pub(super) const TTL_MILLIS: u64 = 20_000;

/// What a writer writes.
pub(super) const WRITTEN: &[u8] = b"written";

/// What an actor is doing.
pub(super) enum Life {
    Acquiring(Box<Acquire<At>>),
    Holding,
    Releasing(Box<Resolve<At>>),
    Writing(Box<Commit<At>>),
    Gone,
}

/// What an actor waits for.
pub(super) enum Pending {
    Send {
        call: CallId,
        region: At,
        request: Request,
    },
    /// A request that waits for a lock on the server.
    Waiting {
        call: CallId,
        task: JoinHandle<Reply>,
    },
    Timestamp {
        call: CallId,
    },
    Resolve {
        call: CallId,
        locks: Vec<LockInfo>,
    },
    /// A pause, with the step at which it began.
    Pause {
        call: CallId,
        since: usize,
    },
    /// The next heartbeat is due.
    Beat,
    /// It is finished with what it locked the keys for.
    Release,
}

pub(super) struct Actor {
    pub(super) start: u64,
    pub(super) life: Life,
    pub(super) pending: VecDeque<Pending>,
    /// What is still to be locked, call by call.
    wants: VecDeque<BTreeSet<String>>,
    /// What was asked for, and so has to be released.
    asked: BTreeSet<String>,
    pub(super) primary: Option<String>,
    pub(super) has_heart: bool,
    /// Until when its locks live as far as it knows, on PD's clock.
    pub(super) lives_until: u64,
    pub(super) outcome: Option<Outcome>,
}

/// A key locked for a holder.
pub(super) struct Hold {
    pub(super) actor: usize,
    pub(super) key: String,
    pub(super) value: Option<Vec<u8>>,
    pub(super) from: u64,
    /// When its holder released it.
    pub(super) until: Option<u64>,
}

pub(super) struct World<'c> {
    pub(super) setting: Setting,
    pub(super) cluster: MockCluster,
    pub(super) client: Client,
    pub(super) core: Arc<Core>,
    pub(super) clock: Arc<AtomicU64>,
    pub(super) actors: Vec<Actor>,
    pub(super) holds: Vec<Hold>,
    /// Requests under way that nobody waits for.
    pub(super) ghosts: Vec<(At, Request)>,
    pub(super) chooser: &'c mut Chooser,
    /// What has gone wrong so far.
    pub(super) wrong: Option<String>,
    pub(super) is_disturbed: bool,
    pub(super) deadlocks: usize,
    pub(super) was_split: bool,
    pub(super) was_moved: bool,
    pub(super) passed: usize,
    pub(super) current: usize,
    pub(super) count: usize,
}

impl<'c> World<'c> {
    pub(super) async fn new(setting: Setting, chooser: &'c mut Chooser) -> World<'c> {
        let clock = Arc::new(AtomicU64::new(1_700_000_000_000));
        let told = clock.clone();
        let cluster = MockCluster::builder()
            .stores(2)
            .split_at((1..setting.keys).filter(|_| setting.apart).map(key))
            .split_default_keyspace(false)
            .in_process()
            .seed(7)
            .clock(Arc::new(move || told.load(Ordering::Relaxed)))
            .start()
            .await
            .unwrap();
        let builder = Client::builder(cluster.pd_endpoints()).transport(InProcess(cluster.clone()));
        let client = builder.batch_commands(false).seed(7).connect().await.unwrap();
        let mut world = World {
            setting,
            core: client.core(),
            client,
            cluster,
            clock,
            actors: Vec::new(),
            holds: Vec::new(),
            ghosts: Vec::new(),
            chooser,
            wrong: None,
            is_disturbed: false,
            deadlocks: 0,
            was_split: false,
            was_moved: false,
            passed: 0,
            current: 0,
            count: 0,
        };
        let keys: Vec<String> = (0..setting.keys).map(key).collect();
        for number in 0..2 {
            let wants = match (setting.circle, number) {
                (false, _) => VecDeque::from([keys.iter().cloned().collect()]),
                (true, 0) => keys.iter().map(|key| BTreeSet::from([key.clone()])).collect(),
                (true, _) => keys.iter().rev().map(|key| BTreeSet::from([key.clone()])).collect(),
            };
            let start = world.add(Life::Gone, wants);
            world.acquire(start).await;
        }
        if setting.writer {
            world.write(&keys).await;
        }
        world
    }

    fn add(&mut self, life: Life, wants: VecDeque<BTreeSet<String>>) -> usize {
        self.actors.push(Actor {
            start: self.cluster.timestamp(),
            life,
            pending: VecDeque::new(),
            wants,
            asked: BTreeSet::new(),
            primary: None,
            has_heart: false,
            lives_until: 0,
            outcome: None,
        });
        self.actors.len() - 1
    }

    async fn write(&mut self, keys: &[String]) {
        let number = self.add(Life::Gone, VecDeque::new());
        let put = |key: &String| Mutation {
            op: Op::Put.into(),
            key: key.clone().into(),
            value: WRITTEN.to_vec(),
            ..Mutation::default()
        };
        let mut plan = Plan::new(keys.iter().map(put).collect(), None, self.actors[number].start).unwrap();
        plan.deadline_millis = 10_000;
        let mut machine = Commit::new(plan);
        let outputs = machine.start();
        self.actors[number].life = Life::Writing(Box::new(machine));
        self.take_commit(number, outputs).await;
    }

    pub(super) fn now_millis(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// How long locks live from now, counted from a holder's start.
    pub(super) fn ttl_millis(&self, number: usize) -> u64 {
        self.now_millis() - Timestamp::from_raw(self.actors[number].start).physical_millis() + TTL_MILLIS
    }

    /// Locks the next keys, or holds them all.
    async fn acquire(&mut self, number: usize) {
        let ttl_millis = self.ttl_millis(number);
        let actor = &mut self.actors[number];
        let Some(keys) = actor.wants.front() else {
            actor.life = Life::Holding;
            return actor.pending.push_back(Pending::Release);
        };
        let primary = actor.primary.get_or_insert_with(|| keys.first().unwrap().clone());
        let mut machine = Acquire::new(Wanted {
            start: actor.start,
            primary: primary.clone().into(),
            keys: keys.iter().map(|key| key.clone().into()).collect(),
            for_update_ts: actor.start,
            ttl_millis,
            wait_millis: 5_000,
            values: true,
        });
        if let Some(Planted::InAcquire(mutant)) = self.setting.planted {
            machine.mutant = Some(mutant);
        }
        actor.asked.extend(keys.iter().cloned());
        let outputs = machine.start();
        actor.life = Life::Acquiring(Box::new(machine));
        Box::pin(self.take_acquire(number, outputs, ttl_millis)).await;
    }

    pub(super) async fn release(&mut self, number: usize) {
        let now = self.cluster.timestamp();
        for hold in self.holds.iter_mut().filter(|hold| hold.actor == number) {
            hold.until.get_or_insert(now);
        }
        let actor = &mut self.actors[number];
        actor.has_heart = false;
        actor.pending.clear();
        let lock = |key: &String| LockInfo {
            key: key.clone().into(),
            lock_version: actor.start,
            lock_type: Op::PessimisticLock.into(),
            ..LockInfo::default()
        };
        let mut machine = Resolve::new(Asked {
            start: actor.start,
            primary: actor.asked.first().unwrap().clone().into(),
            locks: actor.asked.iter().map(lock).collect(),
            caller_start: 0,
            now: 0,
            is_read: false,
            known: Some(Status::Released),
            deadline_millis: 10_000,
        });
        let outputs = machine.start();
        actor.life = Life::Releasing(Box::new(machine));
        Box::pin(self.take_release(number, outputs)).await;
    }

    /// Locates immediately unless PD fails, and keeps the rest for later.
    async fn take<D>(&mut self, number: usize, outputs: Vec<Output<At, D>>) -> (Vec<Event<At>>, Vec<D>, bool) {
        let (mut events, mut decisions, mut is_finished) = (Vec::new(), Vec::new(), false);
        for output in outputs {
            let since = self.count;
            let pending = &mut self.actors[number].pending;
            match output {
                Output::Locate { call, keys } => {
                    let runs = match self.chooser.choose(&[0, 1]) {
                        0 => self.core.locate(&keys).await,
                        _ => Err(Error::Pd { asked: "a region", source: PdFailure::NoLeader }),
                    };
                    events.push(Event::Located { call, runs });
                }
                Output::Send { call, region, request } => pending.push_back(Pending::Send { call, region, request }),
                Output::Timestamp { call } => pending.push_back(Pending::Timestamp { call }),
                Output::Resolve { call, locks } => pending.push_back(Pending::Resolve { call, locks }),
                Output::Pause { pause: Pause::Millis(1_000), .. } | Output::Limit(_) => {}
                Output::Pause { call, .. } => pending.push_back(Pending::Pause { call, since }),
                Output::Decided(decision) => decisions.push(decision),
                Output::Finished => is_finished = true,
            }
        }
        (events, decisions, is_finished)
    }

    async fn take_acquire(
        &mut self,
        number: usize,
        mut outputs: Vec<Output<At, crate::Result<Vec<LockedKey>>>>,
        ttl_millis: u64,
    ) {
        loop {
            let (events, decisions, is_finished) = self.take(number, outputs).await;
            if is_finished {
                self.forget_pending(number);
                return match decisions.into_iter().next() {
                    Some(Ok(held)) => self.granted(number, held, ttl_millis).await,
                    Some(Err(error)) => {
                        self.check_refusal(number, &error);
                        self.release(number).await;
                    }
                    None => self.wrong = Some("a call ended without a result".to_owned()),
                };
            }
            let Life::Acquiring(machine) = &mut self.actors[number].life else { return };
            outputs = events.into_iter().flat_map(|event| machine.handle(event)).collect();
            if outputs.is_empty() {
                return;
            }
        }
    }

    async fn granted(&mut self, number: usize, held: Vec<LockedKey>, ttl_millis: u64) {
        let from = self.cluster.timestamp();
        let start_millis = Timestamp::from_raw(self.actors[number].start).physical_millis();
        let actor = &mut self.actors[number];
        if !actor.has_heart {
            actor.lives_until = start_millis + ttl_millis;
            actor.has_heart = true;
        }
        actor.wants.pop_front();
        for held in held {
            let key = String::from_utf8(held.key).unwrap();
            self.check_grant(number, &key);
            self.holds.push(Hold { actor: number, key, value: held.value, from, until: None });
        }
        self.acquire(number).await;
    }

    async fn take_release(&mut self, number: usize, mut outputs: Vec<Output<At, crate::Result<Status>>>) {
        loop {
            let (events, _, is_finished) = self.take(number, outputs).await;
            if is_finished {
                return self.end(number);
            }
            let Life::Releasing(machine) = &mut self.actors[number].life else { return };
            outputs = events.into_iter().flat_map(|event| machine.handle(event)).collect();
            if outputs.is_empty() {
                return;
            }
        }
    }

    async fn take_commit(&mut self, number: usize, mut outputs: Vec<Output<At, Outcome>>) {
        loop {
            let (events, decisions, is_finished) = self.take(number, outputs).await;
            if let Some(outcome) = decisions.into_iter().next() {
                self.actors[number].outcome = Some(outcome);
            }
            if is_finished {
                return self.end(number);
            }
            let Life::Writing(machine) = &mut self.actors[number].life else { return };
            outputs = events.into_iter().flat_map(|event| machine.handle(event)).collect();
            if outputs.is_empty() {
                return;
            }
        }
    }

    fn forget_pending(&mut self, number: usize) {
        self.actors[number].pending.retain(|pending| matches!(pending, Pending::Beat));
    }

    pub(super) fn end(&mut self, number: usize) {
        let actor = &mut self.actors[number];
        actor.life = Life::Gone;
        actor.has_heart = false;
        actor.pending.clear();
    }

    pub(super) async fn happen(&mut self, number: usize, event: Event<At>) {
        let ttl_millis = self.ttl_millis(number);
        match &mut self.actors[number].life {
            Life::Acquiring(machine) => {
                let outputs = machine.handle(event);
                self.take_acquire(number, outputs, ttl_millis).await;
            }
            Life::Releasing(machine) => {
                let outputs = machine.handle(event);
                self.take_release(number, outputs).await;
            }
            Life::Writing(machine) => {
                let outputs = machine.handle(event);
                self.take_commit(number, outputs).await;
            }
            Life::Holding | Life::Gone => {}
        }
    }
}
