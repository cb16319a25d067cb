//! The calls that a machine waits for.
use std::collections::BTreeMap;

use super::CallId;

/// What a machine has asked for and not heard about yet, each call with its purpose.
#[derive(Clone, Debug)]
pub(super) struct Calls<C> {
    last: u32,
    open: BTreeMap<CallId, C>,
}

impl<C> Calls<C> {
    pub(super) fn new() -> Self {
        Calls { last: 0, open: BTreeMap::new() }
    }

    pub(super) fn open(&mut self, what: C) -> CallId {
        self.last += 1;
        let id = CallId(self.last);
        self.open.insert(id, what);
        id
    }

    /// What an event is about; `None` if nobody waits for it any more.
    pub(super) fn take(&mut self, id: CallId) -> Option<C> {
        self.open.remove(&id)
    }

    /// Stops waiting for the calls that `keep` rejects.
    pub(super) fn retain(&mut self, keep: impl Fn(&C) -> bool) {
        self.open.retain(|_, what| keep(what));
    }

    pub(super) fn any(&self, is: impl Fn(&C) -> bool) -> bool {
        self.open.values().any(is)
    }

    pub(super) fn count(&self, is: impl Fn(&C) -> bool) -> usize {
        self.open.values().filter(|what| is(what)).count()
    }
}
