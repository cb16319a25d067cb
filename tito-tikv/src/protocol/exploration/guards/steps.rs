//! What can happen next in a world of holders.
use std::time::Duration;

use super::world::{Life, Pending, World};
use crate::protocol::Event;
use crate::protocol::exploration::chooser::MOST;
use crate::protocol::exploration::world::key;
use crate::protocol::script::lost;

/// After this many steps nobody waits any longer: each wait for a lock takes four.
const PATIENCE: usize = 24;

/// Something that happens: to what an actor waits for at a place, or to the cluster.
#[derive(Clone, Copy)]
pub(super) enum Step {
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
    /// Part of the locks' time to live goes by.
    Pass,
}

impl World<'_> {
    /// What can happen next, starting with the usual course.
    pub(super) fn steps(&self) -> (Vec<Step>, Vec<u8>) {
        let mut steps = Vec::new();
        let mut costs = Vec::new();
        let mut add = |step, cost| {
            steps.push(step);
            costs.push(cost);
        };
        let actors = self.actors.len();
        let in_turn = (0..actors).map(|offset| (self.current + offset) % actors);
        let blocks = |pending: &Pending| match pending {
            Pending::Pause { .. } => true,
            Pending::Waiting { task, .. } => !task.is_finished(),
            _ => false,
        };
        let ready = in_turn.clone().find_map(|number| {
            let position = self.actors[number].pending.iter().position(|pending| !blocks(pending))?;
            Some((number, position))
        });
        match ready {
            Some((number, position)) => {
                add(Step::Deliver(number, position), 0);
                match self.actors[number].pending[position] {
                    Pending::Send { .. } => {
                        for fault in [Step::LoseAnswer, Step::LoseRequest, Step::Late, Step::Twice] {
                            add(fault(number, position), 1);
                        }
                    }
                    Pending::Beat => add(Step::LoseRequest(number, position), 1),
                    _ => {}
                }
                if !matches!(self.actors[number].life, Life::Gone) {
                    add(Step::Crash(number), 1);
                }
                for other in in_turn {
                    for (place, pending) in self.actors[other].pending.iter().enumerate() {
                        if !blocks(pending) && (other, place) != (number, position) {
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
                if self.setting.passes && self.passed < 3 {
                    add(Step::Pass, 1);
                }
            }
            None => {
                if let Some((number, position)) = self.next_to_go_on() {
                    let is_pause = matches!(self.actors[number].pending[position], Pending::Pause { .. });
                    // Servers answer eventually; a pause may be the last one.
                    if !is_pause || self.count < PATIENCE {
                        add(Step::Deliver(number, position), 0);
                    }
                    if is_pause {
                        add(Step::Deadline(number), 0);
                    }
                }
            }
        }
        for ghost in 0..self.ghosts.len() {
            add(Step::Ghost(ghost), u8::from(ready.is_some()));
        }
        steps.truncate(MOST);
        costs.truncate(MOST);
        // With only a ghost left, it becomes the usual step.
        if let Some(first) = costs.first_mut() {
            *first = 0;
        }
        (steps, costs)
    }

    /// Everyone waits: whoever has waited longest proceeds, or its time is over. Both are usual. A server waits longer
    /// than anyone here.
    fn next_to_go_on(&self) -> Option<(usize, usize)> {
        let all = self.actors.iter().enumerate().flat_map(|(number, actor)| {
            actor.pending.iter().enumerate().map(move |(position, pending)| (number, position, pending))
        });
        let next = all.min_by_key(|(.., pending)| match pending {
            Pending::Pause { since, .. } => *since,
            _ => usize::MAX,
        });
        next.map(|(number, position, _)| (number, position))
    }

    /// Runs until nobody waits for anything, and checks the final state. Returns how many deadlocks were reported.
    pub(super) async fn run(mut self) -> Result<usize, String> {
        loop {
            self.count += 1;
            if self.count > 10 * PATIENCE {
                return Err("it does not end".to_owned());
            }
            let (steps, costs) = self.steps();
            if steps.is_empty() {
                break;
            }
            let chosen = self.chooser.choose(&costs);
            self.step(steps[chosen]).await;
            if let Some(wrong) = self.wrong.take() {
                return Err(wrong);
            }
        }
        let deadlocks = self.deadlocks;
        self.check().await.map(|()| deadlocks)
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Deliver(number, position) => {
                self.current = number;
                let pending = self.take_pending(number, position);
                self.deliver(number, pending).await;
            }
            Step::LoseAnswer(number, position) | Step::LoseRequest(number, position) | Step::Late(number, position) => {
                self.current = number;
                let Pending::Send { call, region, request } = self.take_pending(number, position) else { return };
                match step {
                    Step::LoseAnswer(..) => self.haunt(region, request).await,
                    Step::Late(..) => self.ghosts.push((region, request)),
                    _ => {}
                }
                self.happen(number, Event::Answered { call, reply: lost() }).await;
            }
            Step::Twice(number, position) => {
                self.current = number;
                let pending = self.take_pending(number, position);
                if let Pending::Send { region, request, .. } = &pending {
                    self.ghosts.push((region.clone(), request.clone()));
                }
                self.deliver(number, pending).await;
            }
            Step::Ghost(ghost) => {
                let (region, request) = self.ghosts.remove(ghost);
                self.haunt(region, request).await;
            }
            Step::Split => {
                self.was_split = true;
                self.cluster.split(format!("{}0", key(0))).unwrap();
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
            Step::Pass => self.pass(),
        }
        self.is_disturbed |= !matches!(step, Step::Deliver(..) | Step::Deadline(_) | Step::Pass);
    }

    fn take_pending(&mut self, number: usize, position: usize) -> Pending {
        self.actors[number].pending.remove(position).expect("the step was made of what is pending")
    }

    /// Sends a request whose answer nobody waits for; the server may wait for a lock.
    pub(super) async fn haunt(
        &self,
        region: crate::protocol::exploration::world::At,
        request: crate::protocol::Request,
    ) {
        let core = self.core.clone();
        let task = tokio::spawn(async move { core.send(&region, request).await });
        for _ in 0..64 {
            if task.is_finished() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Lets all waits on servers end.
    pub(super) async fn quiet(&self) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
