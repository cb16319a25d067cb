//! Two writers of the same keys and a stranger that meets their locks, on an in-process cluster.
use std::collections::VecDeque;
use std::sync::Arc;

use tito_mock_tikv::{MockCluster, TikvVersion};
use tito_tikv_proto::kvrpcpb::{LockInfo, Mutation, Op, PrewriteRequest};

use super::chooser::Chooser;
use super::in_process::InProcess;
use super::steps::Step;
use crate::client::core::{Attempt, Core};
use crate::protocol::commit::mutant::Mutant;
use crate::protocol::commit::{Commit, Plan};
use crate::protocol::resolve::{Resolve, Status};
use crate::protocol::script::lost;
use crate::protocol::{CallId, Event, Machine, Output, Pause, Request};
use crate::region::Region;
use crate::{Error, Outcome, PdFailure};

/// After this many steps nobody waits any longer.
pub(super) const PATIENCE: usize = 60;

/// The starting conditions of a world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) keys: usize,
    /// Whether each key is in a region of its own.
    pub(super) apart: bool,
    /// Whether locks have expired when the stranger comes.
    pub(super) expired: bool,
    pub(super) writers: usize,
    pub(super) mutant: Option<Mutant>,
    /// Whether another transaction was committed at exactly the first one's start, by a timestamp that a store
    /// calculated.
    pub(super) overlapped: bool,
}

pub(super) type At = Arc<Region>;

/// The machine of an actor.
pub(super) enum Acting {
    Writer(Box<Commit<At>>),
    Stranger(Box<Resolve<At>>),
    /// The stranger, before it meets a lock.
    Looking,
    Gone,
}

/// What an actor waits for.
pub(super) enum Pending {
    Send {
        call: CallId,
        region: At,
        request: Request,
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
    Look,
}

pub(super) struct Actor {
    pub(super) acting: Acting,
    pub(super) pending: VecDeque<Pending>,
    pub(super) outcome: Option<Outcome>,
    pub(super) status: Option<(u64, Status)>,
    pub(super) start: u64,
}

pub(super) struct World<'c> {
    pub(super) setting: Setting,
    pub(super) cluster: MockCluster,
    pub(super) core: Arc<Core>,
    pub(super) actors: Vec<Actor>,
    /// Requests under way that nobody waits for.
    pub(super) ghosts: Vec<(At, Request)>,
    pub(super) chooser: &'c mut Chooser,
    pub(super) was_split: bool,
    pub(super) was_moved: bool,
    pub(super) current: usize,
    pub(super) count: usize,
}

pub(super) fn key(number: usize) -> String {
    char::from(b'a' + number as u8).to_string()
}

impl<'c> World<'c> {
    pub(super) async fn new(setting: Setting, chooser: &'c mut Chooser) -> World<'c> {
        let boundaries = (1..setting.keys).filter(|_| setting.apart).map(key);
        // Before 8.0, the rollback of a primary is not always protected.
        let version = if setting.overlapped { TikvVersion::V7_5 } else { TikvVersion::V9_0 };
        let cluster = MockCluster::builder()
            .stores(2)
            .split_at(boundaries)
            .split_default_keyspace(false)
            .in_process()
            .version(version)
            .seed(7)
            .clock(Arc::new(|| 1_700_000_000_000))
            .start()
            .await
            .unwrap();
        let builder = crate::Client::builder(cluster.pd_endpoints())
            .transport(InProcess(cluster.clone()))
            .batch_commands(false)
            .seed(7);
        let core = builder.connect().await.unwrap().core();
        let mut world = World {
            setting,
            cluster,
            core,
            actors: Vec::new(),
            ghosts: Vec::new(),
            chooser,
            was_split: setting.apart,
            was_moved: false,
            current: 0,
            count: 0,
        };
        let mut starts: Vec<u64> = Vec::new();
        for _ in 0..setting.writers {
            starts.push(world.cluster.timestamp());
        }
        if setting.overlapped {
            starts[0] = world.commit_at_calculated_timestamp().await;
        }
        for start in starts {
            world.add_writer(start).await;
        }
        let looking = Actor {
            acting: Acting::Looking,
            pending: VecDeque::from([Pending::Look]),
            outcome: None,
            status: None,
            start: 0,
        };
        world.actors.push(looking);
        world
    }

    /// Commits the first key in one phase, and returns its timestamp, which PD has not given out.
    async fn commit_at_calculated_timestamp(&mut self) -> u64 {
        let start_version = self.cluster.timestamp();
        let mutation =
            Mutation { op: Op::Put.into(), key: key(0).into(), value: b"before".to_vec(), ..Mutation::default() };
        let request = PrewriteRequest {
            mutations: vec![mutation],
            primary_lock: key(0).into(),
            start_version,
            lock_ttl: 3_000,
            min_commit_ts: start_version + 1,
            try_one_pc: true,
            ..PrewriteRequest::default()
        };
        let region = self.core.region_of(key(0).as_bytes()).await.unwrap();
        match self.core.attempt(&region, request).await {
            Attempt::Response(response) if response.one_pc_commit_ts != 0 => response.one_pc_commit_ts,
            other => panic!("expected a commit in one phase, found {other:?}"),
        }
    }

    async fn add_writer(&mut self, start: u64) {
        let put = |number| Mutation {
            op: Op::Put.into(),
            key: key(number).into(),
            value: start.to_string().into_bytes(),
            ..Mutation::default()
        };
        let mut plan = Plan::new((0..self.setting.keys).map(put).collect(), None, start).unwrap();
        plan.deadline_millis = 10_000;
        let mut machine = Commit::new(plan);
        machine.mutant = self.setting.mutant;
        let outputs = machine.start();
        let number = self.actors.len();
        self.actors.push(Actor {
            acting: Acting::Writer(Box::new(machine)),
            pending: VecDeque::new(),
            outcome: None,
            status: None,
            start,
        });
        self.take_commit(number, outputs).await;
    }

    /// Locates immediately unless PD fails, and keeps the rest for later.
    async fn take<D>(&mut self, number: usize, outputs: Vec<Output<At, D>>) -> (Vec<Event<At>>, Vec<D>, bool) {
        let (mut events, mut decisions, mut is_finished) = (Vec::new(), Vec::new(), false);
        for output in outputs {
            let since = self.count;
            let actor = &mut self.actors[number];
            match output {
                Output::Locate { call, keys } => {
                    // Unknown regions are looked up, and that can fail.
                    let runs = match self.chooser.choose(&[0, 1]) {
                        0 => self.core.locate(&keys).await,
                        _ => Err(Error::Pd { asked: "a region", source: PdFailure::NoLeader }),
                    };
                    events.push(Event::Located { call, runs });
                }
                Output::Send { call, region, request } => {
                    actor.pending.push_back(Pending::Send { call, region, request });
                }
                Output::Timestamp { call } => actor.pending.push_back(Pending::Timestamp { call }),
                Output::Resolve { call, locks } => actor.pending.push_back(Pending::Resolve { call, locks }),
                Output::Pause { pause: Pause::Millis(1_000), .. } | Output::Limit(_) => {}
                Output::Pause { call, .. } => actor.pending.push_back(Pending::Pause { call, since }),
                Output::Decided(decision) => decisions.push(decision),
                Output::Finished => is_finished = true,
            }
        }
        (events, decisions, is_finished)
    }

    async fn take_commit(&mut self, number: usize, mut outputs: Vec<Output<At, Outcome>>) {
        loop {
            let (events, decisions, is_finished) = self.take(number, outputs).await;
            let actor = &mut self.actors[number];
            for outcome in decisions {
                assert!(actor.outcome.is_none(), "decided twice");
                actor.outcome = Some(outcome);
            }
            if is_finished {
                self.end(number);
                return;
            }
            let Acting::Writer(machine) = &mut self.actors[number].acting else { return };
            outputs = events.into_iter().flat_map(|event| machine.handle(event)).collect();
            if outputs.is_empty() {
                return;
            }
        }
    }

    pub(super) async fn take_resolve(&mut self, number: usize, mut outputs: Vec<Output<At, crate::Result<Status>>>) {
        loop {
            let (events, decisions, is_finished) = self.take(number, outputs).await;
            let actor = &mut self.actors[number];
            for status in decisions.into_iter().flatten() {
                actor.status = Some((actor.start, status));
            }
            if is_finished {
                self.end(number);
                return;
            }
            let Acting::Stranger(machine) = &mut self.actors[number].acting else { return };
            outputs = events.into_iter().flat_map(|event| machine.handle(event)).collect();
            if outputs.is_empty() {
                return;
            }
        }
    }

    pub(super) fn end(&mut self, number: usize) {
        self.actors[number].acting = Acting::Gone;
        self.actors[number].pending.clear();
    }

    pub(super) async fn happen(&mut self, number: usize, event: Event<At>) {
        match &mut self.actors[number].acting {
            Acting::Writer(machine) => {
                let outputs = machine.handle(event);
                self.take_commit(number, outputs).await;
            }
            Acting::Stranger(machine) => {
                let outputs = machine.handle(event);
                self.take_resolve(number, outputs).await;
            }
            _ => {}
        }
    }

    /// Runs until nobody waits for anything, and checks the final state.
    pub(super) async fn run(mut self) -> Result<(), String> {
        loop {
            self.count += 1;
            if self.count > 4 * PATIENCE {
                return Err("it does not end".to_owned());
            }
            let (mut steps, costs) = self.steps();
            if steps.is_empty() {
                break;
            }
            let chosen = self.chooser.choose(&costs);
            self.step(steps.swap_remove(chosen)).await;
        }
        self.check().await
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Deliver(number, position) => {
                self.current = number;
                let pending = self.take_pending(number, position);
                self.deliver(number, pending).await;
            }
            Step::LoseAnswer(number, position) => {
                let (call, region, request) = self.take_send(number, position);
                self.core.send(&region, request).await;
                self.happen(number, Event::Answered { call, reply: lost() }).await;
            }
            Step::LoseRequest(number, position) => {
                let (call, ..) = self.take_send(number, position);
                self.happen(number, Event::Answered { call, reply: lost() }).await;
            }
            Step::Late(number, position) => {
                let (call, region, request) = self.take_send(number, position);
                self.ghosts.push((region, request));
                self.happen(number, Event::Answered { call, reply: lost() }).await;
            }
            Step::Twice(number, position) => {
                let (call, region, request) = self.take_send(number, position);
                self.ghosts.push((region.clone(), request.clone()));
                let reply = self.core.send(&region, request).await;
                self.happen(number, Event::Answered { call, reply }).await;
            }
            Step::Ghost(ghost) => {
                let (region, request) = self.ghosts.remove(ghost);
                self.core.send(&region, request).await;
            }
            Step::Split => {
                self.was_split = true;
                self.cluster.split(key(1)).unwrap();
            }
            Step::Move => {
                self.was_moved = true;
                let leader = self.core.region_of(key(0).as_bytes()).await.unwrap().leader().store_id;
                self.cluster.transfer_leader(key(0), 3 - leader).unwrap();
            }
            Step::Crash(number) => {
                // Its requests still arrive.
                for pending in std::mem::take(&mut self.actors[number].pending) {
                    if let Pending::Send { region, request, .. } = pending {
                        self.ghosts.push((region, request));
                    }
                }
                self.end(number);
            }
            Step::Deadline(number) => self.happen(number, Event::Deadline).await,
        }
    }

    fn take_pending(&mut self, number: usize, position: usize) -> Pending {
        self.actors[number].pending.remove(position).expect("the step was made of what is pending")
    }

    fn take_send(&mut self, number: usize, position: usize) -> (CallId, At, Request) {
        self.current = number;
        match self.take_pending(number, position) {
            Pending::Send { call, region, request } => (call, region, request),
            _ => unreachable!("only requests are lost"),
        }
    }
}
