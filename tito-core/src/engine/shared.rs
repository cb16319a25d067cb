//! What one process keeps along with an engine.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::published::{PublishedEvents, Watched};
use super::signals::{Channels, Listener, Signal, Signals};
use super::tally::{Tallies, Tally};
use crate::timestamp::Timestamp;

/// What all handles to an engine in this process share: the signals of its commits, and one value of each type for code
/// that builds on it. An engine creates one when it is opened.
#[derive(Default)]
pub struct Shared {
    channels: Channels,
    published: Watched,
    commits: AtomicU64,
    tallies: Tallies,
    values: Values,
}

/// One value of each type, each made once and never taken away. Only a handful: they are found faster than a hash is
/// computed. Every write of a model asks for some, so nothing is locked or counted for that.
#[derive(Default)]
struct Values(OnceLock<Box<Value>>);

struct Value {
    value: Box<dyn Any + Send + Sync>,
    next: Values,
}

impl Values {
    fn of<T: Default + Send + Sync + 'static>(&self) -> &T {
        let mut place = self;
        loop {
            let new = || Box::new(Value { value: Box::<T>::default(), next: Self::default() });
            let Value { value, next } = &**place.0.get_or_init(new);
            match value.downcast_ref() {
                Some(found) => return found,
                None => place = next,
            }
        }
    }
}

impl Shared {
    /// Listens to the signals of a channel, from now on: those of earlier commits are not heard.
    pub fn listen(&self, channel: &str, number: u16) -> Listener {
        self.channels.listen(channel, number)
    }

    /// Watches what the commits of this process publish from now on. What other processes publish is not heard, so it is
    /// everything only where [`is_only_writer`](super::TitoEngine::is_only_writer) holds. Costs commits nothing while nobody
    /// watches.
    pub fn watch_published(&self) -> PublishedEvents {
        self.published.watch()
    }

    pub(crate) fn is_publishing_watched(&self) -> bool {
        self.published.is_watched()
    }

    /// Delivers the signals of a commit to their listeners, and changes its counters and tallies. `committed` is the
    /// commit's timestamp.
    pub fn deliver(&self, mut signals: Signals, committed: Timestamp) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.published.deliver(signals.take_published());
        self.tallies.change(signals.take_tallied(), committed);
        self.channels.deliver(signals);
    }

    /// How many transactions of this process were committed since the engine was opened, those included that wrote
    /// nothing. What takes its time reads it to know whether others are at work.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Tells those who listen to a channel of something that no commit of this process has said, such as what was found
    /// of others' commits.
    pub fn signal(&self, signal: Signal) {
        let mut signals = Signals::default();
        signals.add(signal);
        self.channels.deliver(signals);
    }

    /// The tally of something that commits change by this name. From now on they keep it, once somebody has counted.
    pub(crate) fn tally(&self, of: &[u8]) -> Arc<Tally> {
        self.tallies.of(of)
    }

    /// The value of a type, made when it is first asked for.
    pub fn value<T: Default + Send + Sync + 'static>(&self) -> &T {
        self.values.of()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("channels", &self.channels).finish_non_exhaustive()
    }
}
