//! What can happen next in a world.
use super::chooser::MOST;
use super::world::{Acting, PATIENCE, Pending, World};

/// Something that happens: to an actor's pending request at an index, or to the cluster.
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
            // Everyone waits: whoever has waited longest proceeds, or its time is over. Both are usual.
            None => {
                let pauses = self.actors.iter().enumerate().flat_map(|(number, actor)| {
                    actor.pending.iter().enumerate().filter_map(move |(position, pending)| match pending {
                        Pending::Pause { since, .. } => Some((*since, number, position)),
                        _ => None,
                    })
                });
                if let Some((_, number, position)) = pauses.min() {
                    if self.count < PATIENCE {
                        add(Step::Deliver(number, position), 0);
                    }
                    add(Step::Deadline(number), 0);
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
}
