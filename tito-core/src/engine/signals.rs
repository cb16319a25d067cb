//! What transactions signal to other parts of their process once they are committed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use metrics::Counter;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::published::PublishedEvent;
use super::tally::TallyChange;

/// Something that a commit tells the listeners of a channel in its process.
#[derive(Clone, Debug)]
pub struct Signal {
    /// The channel's name.
    pub channel: Arc<str>,
    /// The channel's number among those of its name.
    pub number: u16,
    /// The payload. A listener with several unseen signals gets the smallest one.
    pub payload: Vec<u8>,
}

/// The signals of one transaction, and the counters and tallies that its commit changes. An engine hands them to
/// [`Shared::deliver`](super::Shared::deliver) as they are once the commit is durable and visible, and drops them where
/// there is no commit.
#[derive(Debug, Default)]
pub struct Signals {
    signals: Few<Signal>,
    /// The counters, by name.
    counts: Few<(Arc<str>, Counter, u64)>,
    /// What was published, where somebody watches that.
    published: Vec<PublishedEvent>,
    /// Changes of tallies, by what these are of.
    tallied: Few<(Box<[u8]>, TallyChange)>,
}

/// Most transactions that publish anything publish one event.
type Few<T> = SmallVec<[T; 1]>;

impl Signals {
    pub(crate) fn add(&mut self, signal: Signal) {
        self.signals.push(signal);
    }

    /// Adds those of later changes.
    pub(crate) fn append(&mut self, later: Self) {
        append(&mut self.signals, later.signals);
        append(&mut self.counts, later.counts);
        self.published.extend(later.published);
        append(&mut self.tallied, later.tallied);
    }

    /// Tells those who watch of an event at the commit.
    pub(crate) fn publish(&mut self, event: PublishedEvent) {
        self.published.push(event);
    }

    pub(super) fn take_published(&mut self) -> Vec<PublishedEvent> {
        std::mem::take(&mut self.published)
    }

    pub(super) fn take_tallied(&mut self) -> impl ExactSizeIterator<Item = (Box<[u8]>, TallyChange)> + use<> {
        std::mem::take(&mut self.tallied).into_iter()
    }

    /// Changes the tally of something at the commit, if there is one by then.
    pub(crate) fn tally(&mut self, of: Box<[u8]>, change: TallyChange) {
        if let Some((last, TallyChange::By { number, by })) = self.tallied.last_mut()
            && let TallyChange::By { number: changed, by: more } = change
            && *number == changed
            && *last == of
        {
            *by += more;
            return;
        }
        self.tallied.push((of, change));
    }

    /// Raises a counter by one at the commit. `name` tells counters apart.
    pub(crate) fn count(&mut self, name: &Arc<str>, counter: impl FnOnce() -> Counter) {
        match self.counts.last_mut() {
            Some((last, _, count)) if last == name => *count += 1,
            _ => self.counts.push((name.clone(), counter(), 1)),
        }
    }
}

/// Mostly there is nothing yet.
fn append<T>(so_far: &mut Few<T>, later: Few<T>) {
    if so_far.is_empty() {
        *so_far = later;
    } else {
        so_far.extend(later);
    }
}

/// The listeners of this process.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// So that commits take no lock while nobody listens.
    listening: AtomicUsize,
    channels: Mutex<HashMap<Channel, Vec<Weak<Mailbox>>>>,
}

/// The name of a channel, and its number.
type Channel = (Arc<str>, u16);

#[derive(Debug, Default)]
struct Mailbox {
    smallest: Mutex<Option<Vec<u8>>>,
    notify: Notify,
}

/// A listener to a channel. Once it is dropped, nothing is kept for it.
#[derive(Debug)]
pub struct Listener(Arc<Mailbox>);

impl Listener {
    /// Waits for a signal, and returns the smallest payload since the last call. Safe to cancel: nothing is taken before
    /// it returns.
    pub async fn woken(&self) -> Vec<u8> {
        loop {
            if let Some(payload) = self.take() {
                return payload;
            }
            self.0.notify.notified().await;
        }
    }

    /// Whether [`woken`](Listener::woken) would return at once.
    pub fn is_woken(&self) -> bool {
        self.0.smallest.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The smallest payload since the last call, if any, without waiting.
    pub fn take(&self) -> Option<Vec<u8>> {
        self.0.smallest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Channels {
    pub(super) fn listen(&self, channel: &str, number: u16) -> Listener {
        let mailbox = Arc::new(Mailbox::default());
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let listeners = channels.entry((channel.into(), number)).or_default();
        listeners.retain(|mailbox| mailbox.strong_count() > 0);
        listeners.push(Arc::downgrade(&mailbox));
        self.listening.store(channels.len(), Ordering::Release);
        Listener(mailbox)
    }

    pub(super) fn deliver(&self, signals: Signals) {
        let Signals { signals, counts, .. } = signals;
        for (_, counter, count) in counts {
            counter.increment(count);
        }
        if signals.is_empty() || self.listening.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        for signal in signals {
            let channel = (signal.channel, signal.number);
            let Some(listeners) = channels.get_mut(&channel) else { continue };
            listeners.retain(|mailbox| {
                let Some(mailbox) = mailbox.upgrade() else { return false };
                let mut smallest = mailbox.smallest.lock().unwrap_or_else(PoisonError::into_inner);
                if smallest.as_ref().is_none_or(|known| signal.payload < *known) {
                    *smallest = Some(signal.payload.clone());
                }
                drop(smallest);
                mailbox.notify.notify_one();
                true
            });
            if listeners.is_empty() {
                channels.remove(&channel);
            }
        }
        self.listening.store(channels.len(), Ordering::Release);
    }
}
