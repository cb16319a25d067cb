//! Appends of one process share transactions: while one is being committed, the next ones gather.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tito_core::{Database, Timestamp, TitoError, Transaction, TxOptions};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, oneshot};

use super::known::Known;
use super::prepared::Append;
use super::read::{Trusted, read};
use super::state::Outcome;
use super::write::write;
use crate::error::{EventStoreError, Result};
use crate::log::Log;

/// One transaction takes the appends that wait up to so many events, and at least one append.
const MOST_EVENTS: usize = 1000;

/// And up to about so many bytes.
const MOST_BYTES: usize = 4 << 20;

/// How often a transaction is run when other processes append to the same store.
const ATTEMPTS: u32 = 128;

/// How often an unknown outcome is looked into. It can be, as events have ids: those that are there are not appended
/// again.
const LOOKS: u32 = 5;

const PAUSE: Duration = Duration::from_millis(100);

/// How often an append waits anew after the runtime ended on which others served it. Its own may be ending too.
const TURNS: u32 = 4;

const ENDED: &str = "the runtime that served its appends has ended";

/// The appends of a store that wait for a transaction.
#[derive(Debug, Default)]
pub(crate) struct GroupCommit {
    waiting: Mutex<Waiting>,
    /// What the last transaction has left, until the next one takes it.
    known: Mutex<Known>,
    /// Held by whoever commits. Appends that follow one another without a pause would let no other transaction of this
    /// process change the store: theirs would always be the earlier commit.
    turn: AsyncMutex<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    /// Whether there is a task that takes them.
    is_served: bool,
}

#[derive(Debug)]
struct Request {
    append: Arc<Append>,
    reply: oneshot::Sender<Answer>,
}

/// What became of a request; none if nobody looked at it.
type Answer = Option<Result<Outcome>>;

type Outcomes = Vec<Result<Outcome>>;

impl GroupCommit {
    /// Appends events with others that wait, and returns what they came to beside them. They may be appended all the same
    /// if the future is dropped.
    pub(crate) async fn append(self: &Arc<Self>, log: &Log, append: Append) -> Result<(Outcome, Arc<Append>)> {
        let append = Arc::new(append);
        for _ in 0..TURNS {
            let (reply, answer) = oneshot::channel();
            if let Some(serving) = Serving::begin(self, Request { append: append.clone(), reply }) {
                // A task of its own, as the future of one append may not be polled while the others wait for it. It
                // ends when nothing waits.
                tokio::spawn(serve(log.clone(), serving));
            }
            match self.answered(log, &append, answer).await? {
                Ok(Some(outcome)) => return Ok((outcome?, append)),
                Ok(None) => {}
                Err(_) => return Err(TitoError::CommitUnknown { source: ENDED.into() }.into()),
            }
        }
        Err(TitoError::EngineClosed { reason: ENDED.to_string() }.into())
    }

    /// Waits for an answer. Once the engine is closed the request need not be begun, for example because the runtime
    /// that should serve it is not driven; one that was begun is answered, as the engine's calls then end by
    /// themselves.
    async fn answered(
        &self,
        log: &Log,
        append: &Arc<Append>,
        mut answer: oneshot::Receiver<Answer>,
    ) -> Result<std::result::Result<Answer, oneshot::error::RecvError>> {
        tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer),
            error = log.database().closed() => {
                if self.withdraw(append) {
                    return Err(error.into());
                }
            }
        }
        Ok(answer.await)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no append of this process is being committed, in the order of the calls. None is until the guard is
    /// dropped. Nobody waits for longer than a transaction can live, or for an engine that is closed: conflicts keep
    /// what is stored right without turns.
    pub(crate) async fn turn(&self, database: &Database) -> Option<AsyncMutexGuard<'_, ()>> {
        let longest = Duration::from_millis(database.max_transaction_age_millis());
        tokio::select! {
            biased;
            turn = tokio::time::timeout(longest, self.turn.lock()) => turn.ok(),
            _ = database.closed() => None,
        }
    }

    /// Takes back a request that nobody has begun with, and says whether there was one.
    fn withdraw(&self, append: &Arc<Append>) -> bool {
        let mut waiting = self.lock();
        let before = waiting.requests.len();
        waiting.requests.retain(|request| !Arc::ptr_eq(&request.append, append));
        waiting.requests.len() < before
    }
}

/// The right to serve a group, which one task has at a time. If it is dropped before nothing waits, because its runtime
/// has ended, those that wait are told to begin anew.
struct Serving {
    group: Arc<GroupCommit>,
    is_over: bool,
}

impl Serving {
    /// Lets a request wait, and returns the right to serve it unless somebody has it.
    fn begin(group: &Arc<GroupCommit>, request: Request) -> Option<Self> {
        let mut waiting = group.lock();
        waiting.requests.push_back(request);
        let is_first = !std::mem::replace(&mut waiting.is_served, true);
        is_first.then(|| Self { group: group.clone(), is_over: false })
    }

    /// The appends of the next transaction. If there are none the right is given back, and the next append takes it.
    fn take(&mut self) -> Vec<Request> {
        let mut waiting = self.group.lock();
        let (mut taken, mut events, mut bytes) = (Vec::new(), 0, 0);
        while let Some(request) = waiting.requests.front() {
            events += request.append.events.len();
            bytes += request.append.size();
            if !taken.is_empty() && (events > MOST_EVENTS || bytes > MOST_BYTES) {
                break;
            }
            taken.extend(waiting.requests.pop_front());
        }
        self.is_over = taken.is_empty();
        waiting.is_served = !self.is_over;
        taken
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut waiting = self.group.lock();
        waiting.is_served = false;
        for request in waiting.requests.drain(..) {
            // An error means that nobody waits any more.
            let _ = request.reply.send(None);
        }
    }
}

async fn serve(log: Log, mut serving: Serving) {
    let group = serving.group.clone();
    loop {
        let turn = group.turn(log.database()).await;
        let requests = serving.take();
        if requests.is_empty() {
            return;
        }
        let appends: Arc<[Arc<Append>]> = requests.iter().map(|request| request.append.clone()).collect();
        let outcomes = commit_or_each(&log, &group, &appends).await;
        drop(turn);
        for (request, outcome) in requests.into_iter().zip(outcomes) {
            // An error means that nobody waits any more.
            let _ = request.reply.send(Some(outcome));
        }
        drop(appends);
        // Those that were answered come first: what they append next shares a transaction, where otherwise the quickest
        // of them would have one of its own.
        tokio::task::yield_now().await;
    }
}

/// One transaction, or where that fails and not for the engine, one for each append: it is too large, or one of them meets
/// a damaged row or can't be republished.
async fn commit_or_each(log: &Log, group: &GroupCommit, requests: &Arc<[Arc<Append>]>) -> Outcomes {
    let error = match commit(log, group, requests).await {
        Ok(outcomes) => return outcomes,
        Err(error) => error,
    };
    if !error.is_of_the_call() || requests.len() == 1 {
        return vec![Err(error); requests.len()];
    }
    let mut outcomes = Vec::new();
    for request in requests.iter() {
        let alone: Arc<[_]> = [request.clone()].into();
        match commit(log, group, &alone).await {
            Ok(outcome) => outcomes.extend(outcome),
            Err(error) => outcomes.push(Err(error)),
        }
    }
    outcomes
}

async fn commit(log: &Log, group: &GroupCommit, requests: &Arc<[Arc<Append>]>) -> Result<Outcomes> {
    // An outcome that is not known yet. Until it is, no other error says that nothing was committed.
    let mut unknown = None;
    // The starts of the runs so far: what was appended in one of them is new to those who wait.
    let runs: Arc<Mutex<Vec<Timestamp>>> = Arc::default();
    for _ in 0..LOOKS {
        let run = (log.clone(), requests.clone(), runs.clone());
        let options = TxOptions::default().max_attempts(ATTEMPTS);
        let made_ids = unknown.is_none();
        let append = move |tx: Transaction| async move {
            let (log, requests, runs) = run;
            let known = std::mem::take(&mut *group.known());
            let earlier = begin_run(&runs, tx.start_timestamp());
            append_all(&log, &tx, &requests, Trusted { known, made_ids, earlier }).await
        };
        match log.database().transaction_with(options, append).await {
            Ok((outcomes, known)) => {
                *group.known() = known.committed();
                return Ok(outcomes);
            }
            Err(EventStoreError::Engine(error)) if !error.is_not_committed() || unknown.is_some() => {
                let store = log.name();
                log.logger().with(|| tracing::debug!(store, %error, "looking into an unknown outcome of an append"));
                unknown.get_or_insert(error);
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    _ = log.database().closed() => break,
                }
            }
            Err(error) => return Err(error),
        }
    }
    unknown.map_or_else(|| Ok(Vec::new()), |error| Err(EventStoreError::Engine(error)))
}

/// Notes the start of a run, and returns those of the runs before it.
fn begin_run(runs: &Mutex<Vec<Timestamp>>, start: Timestamp) -> Vec<Timestamp> {
    let mut runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
    let earlier = runs.clone();
    runs.push(start);
    earlier
}

/// The appends, one after another, in one transaction. Each is taken as a whole or refused as a whole.
async fn append_all(
    log: &Log,
    tx: &Transaction,
    requests: &[Arc<Append>],
    trusted: Trusted,
) -> Result<(Outcomes, Known)> {
    let (definition, mut state) = read(log, tx, requests, trusted).await?;
    let (mut outcomes, mut new, mut commands) = (Vec::with_capacity(requests.len()), Vec::new(), Vec::new());
    for append in requests {
        let outcome = state.append(append, tx.start_timestamp());
        if let Ok(Outcome { appended, is_repeated: false, is_there: false, .. }) = &outcome {
            let added = appended.iter().zip(&append.events).filter(|(appended, _)| appended.is_new);
            new.extend(added.map(|(appended, event)| (appended.sequence, event)));
            commands.extend(&append.command);
        }
        outcomes.push(outcome);
    }
    write(log, tx, &definition, &mut state, &new, &commands).await?;
    Ok((outcomes, state.known))
}

/// Appends events in a transaction of the caller's. It trusts nothing: what the transaction has appended before is in no
/// other's memory.
pub(crate) async fn append_in(log: &Log, tx: &Transaction, append: Append) -> Result<Outcome> {
    let (mut outcomes, _) = append_all(log, tx, &[Arc::new(append)], Trusted::default()).await?;
    outcomes.pop().expect("one append has one outcome")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tito_core::embedded::EmbeddedBackend;

    use super::*;
    use crate::event::NewEvent;
    use crate::manager::{EventStoreConfig, Manager};

    fn request() -> (Request, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (Request { append: Arc::new(Append { events: Vec::new(), command: None }), reply }, answer)
    }

    #[test]
    fn a_task_that_has_ended_is_not_in_the_way_of_the_next() {
        let group = Arc::new(GroupCommit::default());
        let mut first = Serving::begin(&group, request().0).unwrap();
        assert_eq!(first.take().len(), 1);
        assert!(first.take().is_empty());
        // The next append comes before the first task is gone as a whole.
        let (second, mut answer) = request();
        let mut serving = Serving::begin(&group, second).unwrap();
        drop(first);
        assert!(matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        assert!(Serving::begin(&group, request().0).is_none(), "one task at a time");
        assert_eq!(serving.take().len(), 2);
    }

    #[test]
    fn a_task_that_never_ran_lets_those_that_wait_begin_anew() {
        let group = Arc::new(GroupCommit::default());
        let (request_of_first, mut answer) = request();
        drop(Serving::begin(&group, request_of_first).unwrap());
        assert!(matches!(answer.try_recv(), Ok(None)));
        assert!(Serving::begin(&group, request().0).is_some());
    }

    /// Time that nobody works in passes at once.
    #[tokio::test(start_paused = true)]
    async fn an_append_does_not_wait_for_a_turn_for_ever() {
        let db = EmbeddedBackend::in_memory().await.unwrap();
        let store = Manager::new(db).create_event_store(EventStoreConfig::new("bank")).await.unwrap();
        let turn = store.group().turn(store.database()).await;
        assert!(turn.is_some());
        assert_eq!(store.append(NewEvent::raw("a.1", "x", "data")).await.unwrap(), 1);
        assert!(store.group().turn(store.database()).await.is_none());
        drop(turn);
        assert!(store.group().turn(store.database()).await.is_some());
    }
}
