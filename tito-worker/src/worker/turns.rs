//! Whose turn it is among events that are handled together.

use super::attempt::Verdict;
use super::lanes::{Entity, Few};
use crate::policy::Order;

/// Goes through events that were taken together, in their order, and remembers whose later ones have to wait.
pub(super) struct Turns {
    order: Order,
    blocked: Few<Entity>,
}

impl Turns {
    pub(super) fn new(order: Order) -> Self {
        Self { order, blocked: Few::new() }
    }

    /// Whether no earlier event of the entity holds this one up.
    pub(super) fn has_turn(&self, entity: Entity) -> bool {
        !self.blocked.contains(&entity)
    }

    /// Notes what came of an event.
    pub(super) fn note(&mut self, entity: Entity, verdict: &Verdict) {
        if verdict.blocks(self.order) && self.has_turn(entity) {
            self.blocked.push(entity);
        }
    }
}
