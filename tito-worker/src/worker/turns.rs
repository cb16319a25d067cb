//! Whose turn it is among events handled together.

use super::attempt::Verdict;
use super::lanes::{Entity, Few};
use crate::policy::Order;

/// Goes through events taken together, in order, and remembers the entities whose later events have to wait.
pub(super) struct Turns {
    order: Order,
    blocked: Few<Entity>,
}

impl Turns {
    pub(super) fn new(order: Order) -> Self {
        Self { order, blocked: Few::new() }
    }

    /// Whether no earlier event of the entity blocks this one.
    pub(super) fn has_turn(&self, entity: Entity) -> bool {
        !self.blocked.contains(&entity)
    }

    /// Records an event's verdict.
    pub(super) fn note(&mut self, entity: Entity, verdict: &Verdict) {
        if verdict.blocks(self.order) && self.has_turn(entity) {
            self.blocked.push(entity);
        }
    }
}
