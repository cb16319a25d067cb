//! Every operation on a file, made to fail in its turn.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;

/// What becomes of a row, as far as its writer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    There,
    NotThere,
    Unknown,
}

/// Opens a database and writes and deletes rows, with flushes in between, until it is done or the engine is closed.
async fn work(path: &Path, faults: &Faults, rows: &mut BTreeMap<String, Known>) {
    let db = match builder(faults).memtable_bytes(3_000).open(path).await {
        Ok(db) => db,
        // An error of the file system is none of what is stored.
        Err(error) => {
            assert!(matches!(error, TitoError::Storage { .. } | TitoError::StorageFull { .. }), "{error:?}");
            return;
        }
    };
    for row in 0..12 {
        let key = format!("k{row:02}");
        let outcome = put(&db, &key, 700).await;
        let known = match &outcome {
            Ok(()) => Known::There,
            Err(TitoError::CommitUnknown { .. }) => Known::Unknown,
            Err(_) => Known::NotThere,
        };
        rows.insert(key, known);
        if row % 3 == 2 {
            let key = format!("k{:02}", row - 2);
            match delete(&db, &key).await {
                Ok(()) => drop(rows.insert(key, Known::NotThere)),
                Err(TitoError::CommitUnknown { .. }) => drop(rows.insert(key, Known::Unknown)),
                Err(_) => {}
            }
        }
    }
    db.close().await;
}

/// Fails the operation with the number `failing`, and counts them.
fn fail_once(faults: &Faults, failing: usize, error: fn() -> io::Error) -> Arc<Mutex<(usize, String)>> {
    let seen = Arc::new(Mutex::new((0, String::new())));
    let counted = seen.clone();
    faults.set(move |operation, file| {
        let mut seen = counted.lock().unwrap();
        seen.0 += 1;
        if seen.0 == failing {
            seen.1 = format!("{operation:?} {file}");
            return Err(error());
        }
        Ok(())
    });
    seen
}

/// However the file system fails, once: what was acknowledged is there, what was refused is not, and the directory opens.
#[tokio::test]
async fn no_single_failure_of_the_file_system_loses_or_invents_a_row() {
    for error in [broken as fn() -> io::Error, no_space] {
        let mut failing = 0;
        loop {
            failing += 1;
            let outer = super::directory();
            let path = outer.path().join("data");
            let faults = Faults::default();
            let mut rows = BTreeMap::new();
            let seen = fail_once(&faults, failing, error);
            work(&path, &faults, &mut rows).await;
            let (count, what) = seen.lock().unwrap().clone();
            faults.clear();
            let db = loop {
                match builder(&faults).open(&path).await {
                    Ok(db) => break db,
                    Err(TitoError::DatabaseInUse { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("after {what} (operation {failing}) failed: {error:?}"),
                }
            };
            let stored = keys(&db).await.unwrap();
            for (key, known) in &rows {
                let is_there = stored.contains(key);
                let is_right = match known {
                    Known::There => is_there,
                    Known::NotThere => !is_there,
                    Known::Unknown => true,
                };
                assert!(is_right, "after {what} (operation {failing}) failed, {key} was {known:?}: {stored:?}");
            }
            assert!(stored.iter().all(|key| rows.contains_key(key)), "{stored:?}");
            put(&db, "k", 1).await.unwrap();
            db.close().await;
            if count < failing {
                break;
            }
        }
        println!("{failing} operations");
        assert!(failing > 50);
    }
}
