//! Runs a transaction to one of its three outcomes.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::handle::Database;
use super::idempotency::Marker;
use super::options::TxOptions;
use super::transaction::Transaction;
use super::turns::{PlaceInLine, Site, Turns};
use crate::error::{Result, TitoError};

const FIRST_BACKOFF: Duration = Duration::from_millis(2);
const LONGEST_BACKOFF: Duration = Duration::from_millis(250);

/// How often a transaction gives way, without trying, to others whose turn it is: mostly once per key, and not for ever
/// when each run writes other keys.
const MOST_WAYS_GIVEN: u32 = 4;

/// How long commits are retried while the storage is unavailable.
const LONGEST_UNAVAILABLE: Duration = Duration::from_secs(30);

pub(super) async fn run<T, Error, F, Fut>(database: &Database, site: Site, options: TxOptions, f: F) -> Result<T, Error>
where
    F: FnOnce(Transaction) -> Fut + Clone + Send,
    Fut: Future<Output = Result<T, Error>> + Send,
    T: Send,
    Error: From<TitoError> + Send,
{
    let mut attempt = 1;
    let mut ways_given = 0;
    let turns = database.shared().value::<Turns>();
    let mut place = PlaceInLine::new(turns, site);
    place.take_expected().await;
    let mut tx = database.begin().await?;
    let mut unavailable_since = None;
    loop {
        let is_polite = attempt < options.max_attempts && ways_given < MOST_WAYS_GIVEN;
        let (reason, lost) = match run_once(database, &tx, &options, f.clone(), &mut place, is_polite).await? {
            Attempt::Committed(value) => return Ok(value),
            Attempt::Replay(error) => {
                let lost = lost_key(&error);
                (error, lost)
            }
            Attempt::GivesWay(keys) => {
                ways_given += 1;
                let key = keys.first().cloned().expect("a run gives way only where a key is somebody's turn");
                (TitoError::Conflict { key: key.into() }, keys)
            }
        };
        if attempt >= options.max_attempts {
            return Err(TitoError::RetriesExhausted { attempts: attempt, source: Box::new(reason) }.into());
        }
        let mut pause = Some(backoff(attempt));
        if matches!(reason, TitoError::Unavailable { .. }) {
            // It is not other transactions that are in the way, and a commit may have taken long to fail.
            let since = *unavailable_since.get_or_insert_with(Instant::now);
            if since.elapsed() > LONGEST_UNAVAILABLE {
                return Err(reason.into());
            }
            pause = Some(backoff(u32::MAX));
        } else {
            unavailable_since = None;
        }
        tracing::debug!(attempt, error = %reason, "replaying a transaction");
        if !lost.is_empty() {
            if place.has_to_wait(&lost) {
                // What an engine has locked for it would keep those waiting whose turn comes before.
                tx.of_the_engine().rollback().await;
            }
            if place.take(lost).await {
                // Whoever had the turn before is done.
                pause = None;
            }
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        tx = database.begin_again(&tx).await?;
        attempt += 1;
    }
}

enum Attempt<T> {
    Committed(T),
    /// Nothing was committed and a new transaction can succeed.
    Replay(TitoError),
    /// The commit was not tried, as others have their turn on these keys.
    GivesWay(Vec<Vec<u8>>),
}

async fn run_once<T, Error, F, Fut>(
    database: &Database,
    tx: &Transaction,
    options: &TxOptions,
    f: F,
    place: &mut PlaceInLine<'_>,
    is_polite: bool,
) -> Result<Attempt<T>, Error>
where
    F: FnOnce(Transaction) -> Fut + Send,
    Fut: Future<Output = Result<T, Error>> + Send,
    T: Send,
    Error: From<TitoError> + Send,
{
    let marker = match &options.idempotency_key {
        None => None,
        Some(key) => match Marker::write(tx, key, options.idempotency_age).await {
            Ok(marker) => {
                tx.set_marker(marker.clone());
                Some(marker)
            }
            Err(error) => return abandon(tx, error.into()).await,
        },
    };
    // Whoever keeps a handle adds nothing to what is committed then, nor after a run that was dropped or has panicked.
    let lent = if options.checks_inserts { tx.checking_inserts().lend() } else { tx.lend() };
    let result = place.scope(async { f(lent.handle()).await }).await;
    drop(lent);
    let value = match result {
        Ok(value) => value,
        Err(error) => return abandon(tx, error).await,
    };
    place.is_right(|key| tx.has_written(key));
    if is_polite {
        // Where others write too, a commit is sent to them. Here a conflict costs next to nothing.
        let taken = tx.taken_by_others(place, !database.is_only_writer());
        if !taken.is_empty() {
            tx.rollback().await;
            return Ok(Attempt::GivesWay(taken));
        }
    }
    match tx.commit().await {
        Ok(_) => Ok(Attempt::Committed(value)),
        Err(error) if error.is_replayed() => Ok(Attempt::Replay(error)),
        // It was not there when the closure looked: it was committed since, and the next run sees it.
        Err(error @ TitoError::AlreadyExists { .. }) if options.checks_inserts => Ok(Attempt::Replay(error)),
        Err(error @ TitoError::CommitUnknown { .. }) => match marker {
            None => Err(error.into()),
            Some(marker) => match marker.was_committed(database).await {
                Ok(true) => Ok(Attempt::Committed(value)),
                Ok(false) => Ok(Attempt::Replay(error)),
                // Still unknown: the reason why it could not be found out matters less than the outcome.
                Err(_) => Err(error.into()),
            },
        },
        Err(error) => Err(error.into()),
    }
}

/// The key by which a transaction was refused, if it was by one.
fn lost_key(error: &TitoError) -> Vec<Vec<u8>> {
    match error {
        TitoError::Conflict { key } if !key.as_bytes().is_empty() => vec![key.as_bytes().to_vec()],
        _ => Vec::new(),
    }
}

/// Ends a transaction that failed before its commit. An engine may meet a conflict in any call; whatever error the
/// closure turned it into, it calls for a replay.
async fn abandon<T, Error>(tx: &Transaction, error: Error) -> Result<Attempt<T>, Error> {
    tx.rollback().await;
    match tx.met_conflict() {
        Some(conflict) => Ok(Attempt::Replay(conflict)),
        None => Err(error),
    }
}

/// Full jitter below an exponentially growing cap, so that transactions that met once don't meet again.
fn backoff(attempt: u32) -> Duration {
    let cap = FIRST_BACKOFF.saturating_mul(1 << attempt.min(10)).min(LONGEST_BACKOFF);
    Duration::from_micros(fastrand::u64(0..=cap.as_micros() as u64))
}
