//! Readers that look at everything while it changes.

use std::sync::Arc;
use std::time::Duration;

use tito_core::TitoError;
use tito_core::prelude::*;
use tokio::sync::watch;

use crate::bank::{ACCOUNTS, TOTAL, account, number, record, stored};
use crate::ledger::Ledger;

/// Takes snapshots until told to stop, and returns how many could be read to their end.
pub async fn take(db: Database, ledger: Arc<Ledger>, stopped: watch::Receiver<bool>) -> u64 {
    let mut taken = 0;
    while !*stopped.borrow() {
        match look(&db, &ledger).await {
            Ok(()) => taken += 1,
            Err(error) => ledger.note_error(&error),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    taken
}

/// Reads one snapshot by a scan over the accounts' regions, and key by key.
pub async fn look(db: &Database, ledger: &Ledger) -> Result<(), TitoError> {
    let last_done = ledger.last_done();
    let tx = db.begin().await?;
    let scanned: Vec<i64> = stored(&tx, "account:").await?.values().map(|balance| number(balance)).collect();
    assert_eq!(
        (scanned.len(), scanned.iter().sum::<i64>()),
        (ACCOUNTS, TOTAL),
        "by scan at {:?}",
        tx.start_timestamp()
    );
    let got = tx.batch_get((0..ACCOUNTS).map(account).collect()).await?;
    let got: Vec<i64> = got.iter().map(|balance| number(balance.as_ref().unwrap())).collect();
    assert_eq!(got, scanned, "by scan and by key at {:?}", tx.start_timestamp());
    if let Some(id) = last_done {
        let found = tx.get(&record(&id)).await?;
        assert!(found.is_some(), "transfer {id} was done before the snapshot at {:?}", tx.start_timestamp());
    }
    tx.rollback().await;
    Ok(())
}
