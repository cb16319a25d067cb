//! A database is copied between places, whatever cuts it off.

use std::path::Path;
use std::pin::pin;
use std::task::Poll;

use tito_backup::{BackupError, BackupOptions, Place, copy};
use tito_core::engine::Filling;
use tito_core::prelude::*;
use tito_core::{Timestamp, keys};

use crate::support::*;

async fn source(path: &Path, rows: usize) {
    let db = open(path).await;
    for number in 0..rows {
        put(&db, &[(&format!("row/{number:03}"), &"x".repeat(number % 50))]).await;
    }
    put(&db, &[("topic:mail", "{\"partitions\":4}"), ("lease:mail:0001", "{}")]).await;
    db.close().await;
}

/// Polls a future so often, and then drops it, or gives what it came to.
pub async fn cut_off<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn a_copy_has_everything_but_what_tells_of_workers_and_pauses_nothing() {
    let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    source(from.path(), 5).await;
    let filled =
        copy(&Place::directory(from.path()), &Place::directory(to.path()), &BackupOptions::default()).await.unwrap();
    assert_eq!((filled.entries, filled.left_out, filled.paused_queues), (7, 1, 0));
    let (mut expected, copied) = (all(&open(from.path()).await).await, open(to.path()).await);
    expected.remove("lease:mail:0001");
    assert_eq!(all(&copied).await, expected);
    assert_eq!(copied.identity().unwrap().id, filled.database);
}

/// The copy is dropped after one poll, two, three and so on, into one target each, and called again until it is whole.
#[tokio::test]
async fn a_copy_that_is_cut_off_anywhere_is_gone_on_with() {
    let from = tempfile::tempdir().unwrap();
    source(from.path(), 40).await;
    let options = BackupOptions::default().block_bytes(100);
    let mut expected = all(&open(from.path()).await).await;
    expected.remove("lease:mail:0001");
    let place = Place::directory(from.path());
    for polls in 1.. {
        let to = tempfile::tempdir().unwrap();
        let target = Place::directory(to.path());
        let attempt = async || match cut_off(copy(&place, &target, &options), polls).await {
            Some(outcome) => outcome.map(Some),
            None => Ok(None),
        };
        let is_whole = once_released(attempt, is_in_use).await.unwrap().is_some();
        if !is_whole {
            let again = once_released(async || copy(&place, &target, &options).await, is_in_use).await;
            again.map(drop).or_else(whole_is_fine).unwrap();
        }
        let copied = open(to.path()).await;
        assert_eq!(all(&copied).await, expected, "cut off after {polls} polls");
        copied.close().await;
        if is_whole {
            assert!(polls > 10, "{polls}");
            return;
        }
    }
}

/// What was cut off after its last commit is whole, and is a database already.
fn whole_is_fine(error: BackupError) -> Result<(), BackupError> {
    match error.database() {
        Some(TitoError::InvalidTarget { .. }) => Ok(()),
        _ => Err(error),
    }
}

/// How many rows of the source a target has dealt with; `None` of one that is whole, or not begun.
async fn dealt_with(path: &Path) -> Option<u64> {
    if !path.join("tito.redb").exists() {
        return None;
    }
    let open = async || EmbeddedBackend::builder().open_to_fill(path, &Filling::new(Vec::new(), Timestamp::ZERO)).await;
    let target = once_released(open, |error| matches!(error, TitoError::DatabaseInUse { .. })).await.ok()?;
    let mark = target.begin().await.unwrap().get(&keys::filling()).await.unwrap().unwrap();
    target.close().await;
    let mark: serde_json::Value = serde_json::from_slice(&mark).ok()?;
    mark["entries"].as_u64()
}

#[tokio::test]
async fn a_source_that_was_written_between_two_attempts_is_found() {
    let options = BackupOptions::default().block_bytes(100);
    for change in ["row/000", "row/000a", "row/zzz"] {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        source(from.path(), 40).await;
        let (place, target) = (Place::directory(from.path()), Place::directory(to.path()));
        let attempt = async |polls| match cut_off(copy(&place, &target, &options), polls).await {
            Some(outcome) => outcome.map(drop),
            None => Ok(()),
        };
        let mut polls = 1;
        while dealt_with(to.path()).await.is_none_or(|entries| entries < 5) {
            polls += 1;
            once_released(async || attempt(polls).await, is_in_use).await.unwrap();
        }
        let reopen = async || EmbeddedBackend::open(from.path()).await;
        let db = once_released(reopen, |error| matches!(error, TitoError::DatabaseInUse { .. })).await.unwrap();
        put(&db, &[(change, "written meanwhile")]).await;
        db.close().await;
        let outcome = once_released(async || copy(&place, &target, &options).await, is_in_use).await;
        if change == "row/zzz" {
            // Where nothing was read yet it is copied as it is now.
            outcome.unwrap();
            assert_eq!(all(&open(to.path()).await).await["row/zzz"], "written meanwhile");
        } else {
            let error = outcome.unwrap_err();
            assert!(matches!(error, BackupError::SourceChanged { .. }), "{change}: {error:?}");
            assert_incomplete(to.path()).await;
        }
    }
}
