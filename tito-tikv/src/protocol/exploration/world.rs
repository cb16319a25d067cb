//! Two writers of the same keys and a stranger who meets their locks, on a cluster in the process.
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tito_mock_tikv::{MockCluster, TikvVersion};
use tito_tikv_proto::kvrpcpb::{Context, GetRequest, LockInfo, Mutation, MvccGetByKeyRequest, Op, PrewriteRequest};
use tito_tikv_proto::tikvpb::tikv_client::TikvClient;

use super::chooser::{Chooser, MOST};
use crate::Snapshot;
use crate::client::core::{Attempt, Core};
use crate::protocol::commit::mutant::Mutant;
use crate::protocol::commit::{Commit, Plan};
use crate::protocol::resolve::{Asked, Resolve, Status};
use crate::protocol::script::lost;
use crate::protocol::{CallId, Event, Machine, Output, Pause, Reply, Request};
use crate::region::Region;
use crate::transport::{Connection, Transport};
use crate::{Error, Outcome, PdFailure, Timestamp};

/// After so many steps nobody waits any longer.
const PATIENCE: usize = 60;

/// How a world begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) keys: usize,
    /// Whether each key is in a region of its own.
    pub(super) apart: bool,
    /// Whether locks are over when the stranger comes.
    pub(super) expired: bool,
    pub(super) writers: usize,
    pub(super) mutant: Option<Mutant>,
    /// Whether another transaction was committed, by a timestamp that a store calculated, just at the first one's start.
    pub(super) overlapped: bool,
}

struct InProcess(MockCluster);

impl Transport for InProcess {
    fn connect(
        &self,
        address: &str,
    ) -> Pin<Box<dyn Future<Output = Result<Connection, tonic::codegen::StdError>> + Send>> {
        let server = self.0.connect(address).map(Connection::new);
        Box::pin(async move { server.ok_or_else(|| "there is no such server".into()) })
    }
}

type At = Arc<Region>;

/// A machine of one of the actors.
enum Acting {
    Writer(Box<Commit<At>>),
    Stranger(Box<Resolve<At>>),
    /// The stranger before it has met a lock.
    Looking,
    Gone,
}

/// What an actor waits for.
enum Pending {
    Send { call: CallId, region: At, request: Request },
    Timestamp { call: CallId },
    Resolve { call: CallId, locks: Vec<LockInfo> },
    Pause { call: CallId },
    Look,
}

struct Actor {
    acting: Acting,
    pending: VecDeque<Pending>,
    outcome: Option<Outcome>,
    status: Option<(u64, Status)>,
    start: u64,
}

pub(super) struct World<'c> {
    setting: Setting,
    cluster: MockCluster,
    core: Arc<Core>,
    actors: Vec<Actor>,
    /// Requests that are under way although nobody waits for them.
    ghosts: Vec<(At, Request)>,
    chooser: &'c mut Chooser,
    was_split: bool,
    was_moved: bool,
    current: usize,
    count: usize,
}

enum Step {
    Deliver(usize, usize),
    LoseAnswer(usize, usize),
    LoseRequest(usize, usize),
    Late(usize, usize),
    Twice(usize, usize),
    Ghost(usize),
    Split,
    Move,
    Crash(usize),
    Deadline(usize),
}

fn key(number: usize) -> String {
    char::from(b'a' + number as u8).to_string()
}

impl<'c> World<'c> {
    pub(super) async fn new(setting: Setting, chooser: &'c mut Chooser) -> World<'c> {
        let boundaries = (1..setting.keys).filter(|_| setting.apart).map(key);
        // The rollback of a primary is not protected in all cases before 8.0.
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

    /// Commits the first key by a transaction in one phase, and returns its timestamp, which PD has not given out.
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

    /// Locates at once, unless PD fails, and keeps the rest for later.
    async fn take<D>(&mut self, number: usize, outputs: Vec<Output<At, D>>) -> (Vec<Event<At>>, Vec<D>, bool) {
        let (mut events, mut decisions, mut is_finished) = (Vec::new(), Vec::new(), false);
        for output in outputs {
            let actor = &mut self.actors[number];
            match output {
                Output::Locate { call, keys } => {
                    // What is not known is asked for, and that can fail.
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
                Output::Pause { call, .. } => actor.pending.push_back(Pending::Pause { call }),
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

    async fn take_resolve(&mut self, number: usize, mut outputs: Vec<Output<At, crate::Result<Status>>>) {
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

    /// The actor is gone; what it has sent may be under way yet, if it is lost in that moment.
    fn end(&mut self, number: usize) {
        self.actors[number].acting = Acting::Gone;
        self.actors[number].pending.clear();
    }

    async fn happen(&mut self, number: usize, event: Event<At>) {
        match &mut self.actors[number].acting {
            Acting::Writer(machine) => {
                let outputs = machine.handle(event);
                self.take_commit(number, outputs).await;
            }
            Acting::Stranger(machine) => {
                let outputs = machine.handle(event);
                self.take_resolve(number, outputs).await;
            }
            Acting::Looking | Acting::Gone => {}
        }
    }

    /// What can happen next: first what usually does.
    fn steps(&self) -> (Vec<Step>, Vec<u8>) {
        let mut steps = Vec::new();
        let mut costs = Vec::new();
        let mut add = |step, cost| {
            steps.push(step);
            costs.push(cost);
        };
        let actors = self.actors.len();
        let in_turn = (0..actors).map(|offset| (self.current + offset) % actors);
        let is_pause = |pending: &Pending| matches!(pending, Pending::Pause { .. });
        let ready = in_turn.clone().find_map(|number| {
            let position = self.actors[number].pending.iter().position(|pending| !is_pause(pending))?;
            Some((number, position))
        });
        match ready {
            Some((number, position)) => {
                add(Step::Deliver(number, position), 0);
                if let Pending::Send { .. } = self.actors[number].pending[position] {
                    for fault in [Step::LoseAnswer, Step::LoseRequest, Step::Late, Step::Twice] {
                        add(fault(number, position), 1);
                    }
                }
                if let Acting::Writer(_) = self.actors[number].acting {
                    add(Step::Crash(number), 1);
                }
                for other in in_turn {
                    for (place, pending) in self.actors[other].pending.iter().enumerate() {
                        if !is_pause(pending) && (other, place) != (number, position) {
                            add(Step::Deliver(other, place), 1);
                        }
                    }
                }
                if !self.was_split {
                    add(Step::Split, 1);
                }
                if !self.was_moved {
                    add(Step::Move, 1);
                }
            }
            // All wait: either they go on, or their time is over. Both are usual.
            None => {
                for number in in_turn {
                    if let Some(position) = self.actors[number].pending.iter().position(is_pause) {
                        if self.count < PATIENCE {
                            add(Step::Deliver(number, position), 0);
                        }
                        add(Step::Deadline(number), 0);
                        break;
                    }
                }
            }
        }
        for ghost in 0..self.ghosts.len() {
            add(Step::Ghost(ghost), u8::from(ready.is_some()));
        }
        steps.truncate(MOST);
        costs.truncate(MOST);
        // A ghost alone is what happens then.
        if let Some(first) = costs.first_mut() {
            *first = 0;
        }
        (steps, costs)
    }

    /// Runs until nobody waits for anything, and checks what is there then.
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
                // What it has sent arrives yet.
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

    async fn deliver(&mut self, number: usize, pending: Pending) {
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
                let left = self.core.clone().resolve_for_write(locks).await;
                self.happen(number, Event::Resolved { call, left }).await;
            }
            Pending::Pause { call } => self.happen(number, Event::Paused { call }).await,
            Pending::Look => self.look(number).await,
        }
    }

    /// The stranger reads the last key, and if it is locked asks what became of who holds it.
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

    /// What has to hold whatever happened.
    async fn check(mut self) -> Result<(), String> {
        for (region, request) in std::mem::take(&mut self.ghosts) {
            self.core.send(&region, request).await;
        }
        // Whoever comes later gets everything out of the way.
        self.cluster.jump_clock(600_000);
        let snapshot = Snapshot::new(self.core.clone(), Timestamp::from_raw(self.cluster.timestamp()));
        let keys: Vec<String> = (0..self.setting.keys).map(key).collect();
        let last = snapshot.batch_get(&keys).await.map_err(|error| format!("a reader is blocked: {error}"))?;
        for _ in 0..1_000 {
            if self.cluster.locks().is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if !self.cluster.locks().is_empty() {
            return Err(format!("locks are left: {:?}", self.cluster.locks()));
        }
        let mut commits = Vec::new();
        for actor in self.actors.iter().filter(|actor| actor.start != 0) {
            if matches!(actor.acting, Acting::Looking) {
                continue;
            }
            commits.push((actor, self.commits_of(actor.start, &keys).await));
        }
        let mut whole: Vec<(u64, u64)> = Vec::new();
        for (actor, at) in &commits {
            if !matches!(actor.acting, Acting::Gone) {
                return Err(format!("the transaction of {} never ends", actor.start));
            }
            let done = at.iter().flatten().count();
            if done != 0 && done != keys.len() {
                return Err(format!(
                    "the transaction of {} is torn: {at:?}, reported {:?}",
                    actor.start, actor.outcome
                ));
            }
            let first = at[0];
            if at.iter().any(|other| *other != first) {
                return Err(format!("the transaction of {} has several commit timestamps: {at:?}", actor.start));
            }
            match (&actor.outcome, first) {
                (Some(Outcome::Committed(told)), Some(found)) if told.raw() == found => {}
                (Some(Outcome::NotCommitted(_)), None) | (Some(Outcome::Unknown(_)) | None, _) => {}
                (told, found) => return Err(format!("reported {told:?}, found {found:?}")),
            }
            match (actor.status, first) {
                (Some((_, Status::Committed(told))), Some(found)) if told == found => {}
                (Some((_, Status::RolledBack)), None) => {}
                (Some((_, Status::Pushed | Status::Alive { .. } | Status::Released)) | None, _) => {}
                (told, found) => return Err(format!("a stranger was told {told:?}, found {found:?}")),
            }
            if let Some(found) = first
                && !whole.iter().any(|(start, _)| *start == actor.start)
            {
                whole.push((actor.start, found));
            }
        }
        if let [(one_start, one), (other_start, other)] = whole[..]
            && !(one < other_start || other < one_start)
        {
            return Err(format!("both were committed: {one_start} at {one}, {other_start} at {other}"));
        }
        let newest = whole.iter().max_by_key(|(_, at)| *at).map(|(start, _)| start.to_string().into_bytes());
        let fallback = self.setting.overlapped.then(|| b"before".to_vec());
        match newest {
            Some(value) if last.len() == keys.len() && last.iter().all(|(_, found)| *found == value) => Ok(()),
            None if last.iter().all(|(_, found)| Some(found) == fallback.as_ref()) => Ok(()),
            newest => Err(format!("expected {newest:?}, found {last:?}")),
        }
    }

    /// At which timestamp each key was committed by a transaction.
    async fn commits_of(&self, start: u64, keys: &[String]) -> Vec<Option<u64>> {
        let mut found = Vec::new();
        for key in keys {
            found.push(self.commit_of(start, key).await);
        }
        found
    }

    async fn commit_of(&self, start: u64, key: &str) -> Option<u64> {
        for _ in 0..10 {
            let region = self.core.region_of(key.as_bytes()).await.unwrap();
            let address = self.cluster.stores()[region.leader().store_id as usize - 1].address.to_string();
            let context = Context {
                region_id: region.id,
                region_epoch: Some(region.epoch),
                peer: Some(region.leader().clone()),
                ..Context::default()
            };
            let request = MvccGetByKeyRequest { key: key.into(), context: Some(context) };
            let mut store = TikvClient::new(self.cluster.connect(&address).unwrap());
            let response = store.mvcc_get_by_key(request).await.unwrap().into_inner();
            if response.region_error.is_some() {
                self.core.regions.forget(&region);
                continue;
            }
            let writes = response.info.map(|info| info.writes).unwrap_or_default();
            let own = writes.iter().find(|write| write.start_ts == start && write.r#type() == Op::Put);
            return own.map(|write| write.commit_ts);
        }
        panic!("the region of {key} can't be found");
    }
}
