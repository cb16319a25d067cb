//! What these tests are written with.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;

use tito_backup::{BackupOptions, Place, Totals, backup};
use tito_core::clock::Clock;
use tito_core::keys::{self, KeyRange};
use tito_core::prelude::*;
use tito_testkit::TestClock;

pub type Rows = BTreeMap<String, String>;

pub async fn put(db: &Database, rows: &[(&str, &str)]) {
    let rows: Vec<_> = rows.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    db.transaction(|tx| async move {
        for (key, value) in rows {
            tx.system_keys().put(key, value).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
}

/// Everything in the database.
pub async fn all(db: &Database) -> Rows {
    let tx = db.begin().await.unwrap();
    let rows = tx.scan(KeyRange::prefix(""), 1_000_000).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    rows.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// What applications have written themselves.
pub async fn own(db: &Database) -> Rows {
    let mut rows = all(db).await;
    rows.retain(|key, _| keys::reserved_prefix(key.as_bytes()).is_none());
    rows
}

/// A backup in small blocks.
pub async fn backed_up(db: &Database, block_bytes: usize) -> (Vec<u8>, Totals) {
    let mut bytes = Vec::new();
    let totals = backup(db, &mut bytes, &BackupOptions::default().block_bytes(block_bytes)).await.unwrap();
    (bytes, totals)
}

pub async fn open(path: &Path) -> Database {
    EmbeddedBackend::open(path).await.unwrap()
}

/// Opens a place as soon as nobody has it any more: what was dropped in the middle releases it in its own time.
pub async fn once_released<T, E>(
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
    is_in_use: impl Fn(&E) -> bool,
) -> Result<T, E> {
    loop {
        match attempt().await {
            Err(error) if is_in_use(&error) => tokio::task::yield_now().await,
            outcome => return outcome,
        }
    }
}

pub fn is_in_use(error: &tito_backup::BackupError) -> bool {
    matches!(error.database(), Some(TitoError::DatabaseInUse { .. }))
}

/// The target is there, and says that it is not whole.
pub async fn assert_incomplete(path: &Path) {
    for attempt in [EmbeddedBackend::open(path).await, Place::directory(path).open().await] {
        let error = attempt.unwrap_err();
        assert!(matches!(error, TitoError::IncompleteDatabase { .. }), "{error:?}");
    }
}

/// How many seeds a test at random tries: few, or what `TITO_SEEDS` says.
pub fn seeds() -> Vec<u64> {
    let count = std::env::var("TITO_SEEDS").map_or(3, |count| count.parse().expect("TITO_SEEDS has to be a number"));
    let first = tito_testkit::seed();
    (0..count).map(|number| first.wrapping_add(number)).collect()
}

/// Makes a call, turning the clock on to whatever it waits for; not to what engines wait for in the background, which is
/// further away.
pub async fn turning<T>(clock: &TestClock, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        tokio::select! {
            biased;
            value = &mut call => return value,
            next = clock.waited_for() => match next.saturating_sub(clock.monotonic_millis()) {
                ..60_000 => clock.advance_to(next),
                _ => tokio::task::yield_now().await,
            },
        }
    }
}
