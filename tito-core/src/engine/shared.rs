//! What one process keeps along with an engine.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::signals::{Channels, Listener, Signals};
use crate::timestamp::Timestamp;

/// What all handles to an engine in this process share: the signals of its commits, and one value of each type for code
/// that builds on it. An engine creates one when it is opened.
#[derive(Default)]
pub struct Shared {
    channels: Channels,
    /// Only a handful: they are found faster than a hash is computed.
    values: RwLock<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>,
}

impl Shared {
    /// Listens to the signals of a channel, from now on: those of earlier commits are not heard.
    pub fn listen(&self, channel: &str, number: u16) -> Listener {
        self.channels.listen(channel, number)
    }

    /// Delivers the signals of a commit to their listeners, and changes its counters and tallies. `committed` is the
    /// commit's timestamp.
    pub fn deliver(&self, signals: Signals, committed: Timestamp) {
        self.channels.deliver(signals, committed);
    }

    /// The value of a type, made when it is first asked for.
    pub fn value<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let of = |values: &[(TypeId, Arc<dyn Any + Send + Sync>)]| {
            values.iter().find(|(id, _)| *id == TypeId::of::<T>()).map(|(_, value)| value.clone())
        };
        let found = of(&self.values.read().unwrap_or_else(PoisonError::into_inner));
        let value = found.unwrap_or_else(|| {
            let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
            of(&values).unwrap_or_else(|| {
                let value: Arc<dyn Any + Send + Sync> = Arc::new(T::default());
                values.push((TypeId::of::<T>(), value.clone()));
                value
            })
        });
        value.downcast().unwrap_or_else(|_| unreachable!("a value is kept under the id of its own type"))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("channels", &self.channels).finish_non_exhaustive()
    }
}
