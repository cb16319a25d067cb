//! What a worker has in hand, and who may run alongside whom.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tito_core::event::EventHead;
use tito_core::row::StoredRow;
use tito_core::{Database, Result, Transaction};
use tokio::sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use uuid::Uuid;

use super::dropped;
use super::in_hand::{self, InHand};
use super::mark::{LEASE_MILLIS, Mark};
use crate::keys;
use crate::registration::{About, Registration, ServedQueue};
use crate::worker::runner::Runner;

/// How long a worker keeps lists after it has found a dead one, in milliseconds of the monotonic clock.
const CAREFUL_MILLIS: u64 = 600_000;

/// How often it reports that it lives, where that has to be told, and looks for the dead.
const LOOK_EVERY: Duration = Duration::from_millis(LEASE_MILLIS / 3);

/// How long a worker's last words may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A suspect that has killed lets others go first, for this long per death.
const STANDS_BACK: Duration = Duration::from_millis(100);

const UNMARKED: u8 = 0;
const MARKED: u8 = 1;
const CAREFUL: u8 = 2;

/// The workers of this process.
#[derive(Default)]
struct Process {
    /// Taken by every handler that runs, and by a suspect exclusively.
    turns: Arc<RwLock<()>>,
    living: Mutex<BTreeSet<Uuid>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a worker belongs to this process, and lives.
pub(super) fn lives_in_process(database: &Database, id: Uuid) -> bool {
    locked(&database.shared().value::<Arc<Process>>().living).contains(&id)
}

/// What one run of a worker has in hand.
pub(in crate::worker) struct Hands {
    pub(super) database: Database,
    pub(in crate::worker) id: Uuid,
    /// What the worker says about itself.
    pub(in crate::worker) registration: Arc<Registration>,
    pub(super) runners: HashMap<Arc<str>, Arc<Runner>>,
    process: Arc<Process>,
    /// Whether dropping it counts as the death of its process, for tests.
    dies_when_dropped: bool,
    state: AtomicU8,
    /// Whether a mark may be stored because its write was started: a write that was cut off may still be committed.
    may_be_marked: AtomicBool,
    /// Taken while the mark is written.
    pub(super) writing: tokio::sync::Mutex<Writing>,
    in_hand: Mutex<InHand>,
    /// Notified when something is no longer in hand.
    room: Notify,
    suspects: Mutex<BTreeSet<Vec<u8>>>,
    has_suspects: AtomicBool,
}

/// What has to be known to write the mark.
#[derive(Default)]
pub(super) struct Writing {
    careful_until: u64,
    /// Whether a list would be complete, because everything that runs was put on one.
    pub(super) can_list: bool,
    /// Whether a dead worker was found whose events in hand are unknown, and has to be looked at again.
    pub(super) wants_lists: bool,
    alone: Option<Vec<u8>>,
    is_stopping: bool,
    /// For others, the heartbeat and when it was first seen.
    pub(super) seen: HashMap<Uuid, (u64, u64)>,
}

/// Says that a worker lives, until it is dropped.
pub(in crate::worker) struct Living(Arc<Hands>);

impl Drop for Living {
    fn drop(&mut self) {
        // One that ended by itself has already removed its mark.
        if self.0.may_be_marked.load(Ordering::Acquire) && !self.0.dies_when_dropped {
            dropped::note(self.0.id);
        }
        locked(&self.0.process.living).remove(&self.0.id);
    }
}

/// Events in hand, until this is dropped.
pub(in crate::worker) struct Taken<'a> {
    hands: &'a Hands,
    keys: Vec<Vec<u8>>,
    _turn: OwnedRwLockReadGuard<()>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        locked(&self.hands.in_hand).remove_all(&self.keys);
        self.hands.room.notify_waiters();
    }
}

/// The result of asking to run a suspect.
pub(in crate::worker) enum Alone {
    /// Nothing else runs in the process until [`Hands::not_alone`].
    Yes(OwnedRwLockWriteGuard<()>),
    /// The event is no longer there.
    Gone,
}

impl Hands {
    pub(in crate::worker) fn new(
        database: &Database,
        runners: &[Arc<Runner>],
        about: About,
        dies_when_dropped: bool,
    ) -> Arc<Self> {
        let process = database.shared().value::<Arc<Process>>().clone();
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
        let queues = runners.iter().map(|runner| ServedQueue {
            name: runner.queue.clone(),
            in_flight: runner.in_flight.clone(),
            limited_by: {
                let runner = runner.clone();
                Box::new(move |clock_millis| runner.pace.limited_by(clock_millis))
            },
        });
        Arc::new(Self {
            database: database.clone(),
            id,
            registration: Registration::new(database.clone(), id, about, queues.collect()),
            runners: runners.iter().map(|runner| (runner.queue.clone(), runner.clone())).collect(),
            process,
            dies_when_dropped,
            state: AtomicU8::new(UNMARKED),
            may_be_marked: AtomicBool::new(false),
            writing: tokio::sync::Mutex::default(),
            in_hand: Mutex::default(),
            room: Notify::new(),
            suspects: Mutex::default(),
            has_suspects: AtomicBool::new(false),
        })
    }

    /// The id of its mark.
    pub(in crate::worker) fn id(&self) -> Uuid {
        self.id
    }

    /// Starts a worker's life.
    pub(in crate::worker) fn live(self: &Arc<Self>) -> Living {
        locked(&self.process.living).insert(self.id);
        Living(self.clone())
    }

    /// Whether a worker belongs to this process, and lives.
    pub(super) fn lives_here(&self, id: Uuid) -> bool {
        locked(&self.process.living).contains(&id)
    }

    /// Looks for the dead and leaves a mark, before anything is handed out.
    ///
    /// # Errors
    /// Those of the engine: nothing is to be handed out then.
    pub(in crate::worker) async fn begin(&self) -> Result<()> {
        if self.state.load(Ordering::Acquire) != UNMARKED {
            return Ok(());
        }
        let mut writing = self.writing.lock().await;
        if self.state.load(Ordering::Acquire) != UNMARKED {
            return Ok(());
        }
        writing.can_list = true;
        self.find_dead(&mut writing).await?;
        self.write(&writing).await?;
        let state = if self.is_careful(&writing) { CAREFUL } else { MARKED };
        self.state.store(state, Ordering::Release);
        Ok(())
    }

    /// Whether an event is known as a suspect, or has failed for good, since it was read.
    pub(in crate::worker) fn is_suspect(&self, key: &[u8]) -> bool {
        // Usually there is none, and every run of a handler asks.
        self.has_suspects.load(Ordering::Acquire) && locked(&self.suspects).contains(key)
    }

    pub(super) fn suspect(&self, keys: impl IntoIterator<Item = Vec<u8>>) {
        let mut suspects = locked(&self.suspects);
        suspects.extend(keys);
        self.has_suspects.store(!suspects.is_empty(), Ordering::Release);
    }

    /// Takes events in hand, and writes that first if the worker is careful. The list of them is bounded, so this waits
    /// until there is room for these; `None` if there can never be room for all of them at once.
    ///
    /// # Errors
    /// Those of the engine: nothing is to be handed out then.
    pub(in crate::worker) async fn take(&self, keys: impl Iterator<Item = Vec<u8>>) -> Result<Option<Taken<'_>>> {
        let turn = self.turn().await;
        if self.state.load(Ordering::Acquire) == MARKED {
            return Ok(Some(Taken { hands: self, keys: Vec::new(), _turn: turn }));
        }
        let keys: Vec<_> = keys.collect();
        let most = in_hand::most_bytes(self.database.limits());
        if keys.len() > 1 && in_hand::bytes_of(&keys) > most {
            return Ok(None);
        }
        let mut turn = Some(turn);
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            let turn = match turn.take() {
                Some(turn) => turn,
                None => self.turn().await,
            };
            let mut writing = self.writing.lock().await;
            let has_room = locked(&self.in_hand).add_all(&keys, most);
            if !has_room {
                // Without holding a turn, or nobody could be alone meanwhile.
                drop((writing, turn));
                room.await;
                continue;
            }
            let taken = Taken { hands: self, keys, _turn: turn };
            self.write(&writing).await?;
            if !self.is_careful(&writing) {
                writing.can_list = false;
                self.state.store(MARKED, Ordering::Release);
            }
            return Ok(Some(taken));
        }
    }

    /// Whether lists of what is handed out are written, because a worker has died.
    pub(in crate::worker) fn keeps_lists(&self) -> bool {
        self.state.load(Ordering::Acquire) == CAREFUL
    }

    /// A turn alongside others, for what is on no list.
    pub(in crate::worker) async fn turn(&self) -> OwnedRwLockReadGuard<()> {
        // Hardly ever does a suspect run, or wait to.
        match self.process.turns.clone().try_read_owned() {
            Ok(turn) => turn,
            Err(_) => self.process.turns.clone().read_owned().await,
        }
    }

    /// The same, unless somebody has to be alone.
    pub(in crate::worker) fn try_turn(&self) -> Option<OwnedRwLockReadGuard<()>> {
        self.process.turns.clone().try_read_owned().ok()
    }

    /// Waits until nothing else runs in the process, and records in the mark which event runs.
    ///
    /// # Errors
    /// Those of the engine: nothing is to be handed out then.
    pub(in crate::worker) async fn take_alone(&self, key: &[u8]) -> Result<Alone> {
        let deaths = match self.read(key).await? {
            None => return Ok(Alone::Gone),
            Some(row) => EventHead::decode(key, &row).ok().and_then(|head| head.deaths).unwrap_or(0),
        };
        tokio::time::sleep(STANDS_BACK * deaths.min(20)).await;
        let turn = self.process.turns.clone().write_owned().await;
        let mut writing = self.writing.lock().await;
        writing.can_list = true;
        self.be_careful(&mut writing);
        writing.alone = Some(key.to_vec());
        let written = self.write(&writing).await;
        writing.alone = None;
        written.map(|()| Alone::Yes(turn))
    }

    /// Ends what [`take_alone`](Hands::take_alone) started. If that can't be written, the next hand-out does it.
    pub(in crate::worker) async fn not_alone(&self, turn: OwnedRwLockWriteGuard<()>) {
        let writing = self.writing.lock().await;
        if let Err(error) = self.write(&writing).await {
            tracing::warn!(%error, "it could not be recorded that an event no longer runs alone");
        }
        drop(turn);
    }

    async fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let tx = self.database.begin().await?;
        let row = tx.get(key).await;
        tx.rollback().await;
        row
    }

    pub(super) fn be_careful(&self, writing: &mut Writing) {
        writing.careful_until = self.database.clock().monotonic_millis().saturating_add(CAREFUL_MILLIS);
        if self.state.load(Ordering::Acquire) == MARKED {
            self.state.store(CAREFUL, Ordering::Release);
        }
    }

    fn is_careful(&self, writing: &Writing) -> bool {
        self.database.clock().monotonic_millis() < writing.careful_until
    }

    pub(super) fn mark(&self, writing: &Writing) -> Mark {
        let text = |key: &Vec<u8>| String::from_utf8_lossy(key).into_owned();
        let in_hand = match &writing.alone {
            Some(key) => Some(vec![text(key)]),
            None => self.is_careful(writing).then(|| locked(&self.in_hand).keys().map(text).collect()),
        };
        let queues = self.runners.keys().map(|queue| queue.to_string()).collect();
        let (alone, stopping) = (writing.alone.is_some(), writing.is_stopping);
        Mark { in_hand, alone, stopping, ..Mark::new(queues) }
    }

    async fn write(&self, writing: &Writing) -> Result<()> {
        self.may_be_marked.store(true, Ordering::Release);
        let mark = &self.mark(writing);
        let write = |tx: Transaction| async move {
            let mark = Mark { heartbeat: tx.now().millis(), ..mark.clone() };
            tx.system_keys().put(keys::process(self.id), mark.encode()?).await
        };
        self.database.transaction(write).await
    }

    /// Repeatedly reports that the worker lives, and looks for those who don't. Never ends. A database's only process
    /// has nobody to tell, and only looks at the start.
    pub(in crate::worker) async fn look_after(&self) {
        if self.database.is_only_writer() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.state.load(Ordering::Acquire) == UNMARKED {
                continue;
            }
            let mut writing = self.writing.lock().await;
            let mut looked = self.say_and_look(&mut writing).await;
            if looked.is_ok() && writing.wants_lists {
                drop(writing);
                // What began without a list ends first.
                let _turn = self.process.turns.clone().write_owned().await;
                let mut writing = self.writing.lock().await;
                writing.can_list = true;
                looked = self.say_and_look(&mut writing).await;
            }
            if let Err(error) = looked {
                tracing::warn!(%error, "a worker could not write its heartbeat or look for dead workers, trying again");
            }
        }
    }

    async fn say_and_look(&self, writing: &mut Writing) -> Result<()> {
        self.write(writing).await?;
        writing.wants_lists = false;
        self.find_dead(writing).await
    }

    /// Records that the worker was told to stop: if it is killed now, no event is to blame.
    pub(in crate::worker) async fn stop(&self) {
        let stopping = async {
            let mut writing = self.writing.lock().await;
            writing.is_stopping = true;
            if self.may_be_marked.load(Ordering::Acquire) { self.write(&writing).await } else { Ok(()) }
        };
        self.last_words(stopping).await;
    }

    /// Removes the mark: nothing is in hand any more.
    pub(in crate::worker) async fn end(&self) {
        if !self.may_be_marked.load(Ordering::Acquire) {
            return;
        }
        let delete = |tx: Transaction| async move { tx.system_keys().delete(keys::process(self.id)).await };
        let deleted = async {
            self.database.transaction(delete).await?;
            self.may_be_marked.store(false, Ordering::Release);
            Ok(())
        };
        self.last_words(deleted).await;
    }

    async fn last_words(&self, words: impl Future<Output = Result<()>> + Send) {
        match tokio::time::timeout(LAST_WORDS, words).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the mark of a worker that ends could not be updated"),
            Err(_) => {
                tracing::warn!("the mark of a worker that ends could not be updated, as the engine does not answer")
            }
        }
    }
}

#[cfg(test)]
mod tests;
