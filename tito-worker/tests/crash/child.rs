//! The program that is killed.

use std::path::Path;
use std::time::Duration;

use tito_core::Transaction;
use tito_core::embedded::EmbeddedBackend;
use tito_core::prelude::*;

use crate::model::{Account, Change, worker};

const TASKS: u32 = 6;
const ACCOUNTS: u32 = 12;

/// Changes accounts from several tasks while a worker handles their events, and prints every transaction that was
/// acknowledged.
pub async fn work(directory: &Path, round: u32, memtable_bytes: usize) {
    let db = EmbeddedBackend::builder().memtable_bytes(memtable_bytes).open(directory).await.unwrap();
    // After what the test harness has printed on this line.
    println!("\nREADY");
    let consumer = worker(&db, true);
    tokio::spawn(async move { consumer.run(std::future::pending()).await });
    for task in 0..TASKS {
        tokio::spawn(change_accounts(db.clone(), format!("{round:02}-{task}")));
    }
    // Long past the kill; ends the process if there is nobody left to kill it.
    tokio::time::sleep(Duration::from_secs(30)).await;
}

async fn change_accounts(db: Database, who: String) {
    for number in 0.. {
        let id = format!("{who}-{number:05}");
        let changed = {
            let (db, id) = (db.clone(), id.clone());
            db.clone().transaction(|tx| async move { change_account(db, id, tx).await }).await
        };
        match changed {
            Ok(()) => println!("COMMITTED {id}"),
            // The other tasks may be too many for one account.
            Err(TitoError::RetriesExhausted { .. }) => {}
            Err(error) => {
                eprintln!("{error:?}");
                std::process::exit(1);
            }
        }
    }
}

async fn change_account(db: Database, id: String, tx: Transaction) -> Result<(), TitoError> {
    let (accounts, changes) = (db.clone().model::<Account>(), db.model::<Change>());
    let account = format!("a{}", fastrand::u32(0..ACCOUNTS));
    let last = changes.query(Change::BY_ACCOUNT_AND_VERSION).prefix(account.clone()).reverse().first(&tx).await?;
    let version = last.map_or(0, |change| change.version) + 1;
    let before = accounts.get(&account, &tx).await?;
    let row = Account {
        id: account.clone(),
        version,
        // Often the one that it had.
        email: format!("{account}-{}@example.com", fastrand::u32(0..3)),
        color: ["red", "green", "blue"][fastrand::usize(0..3)].to_string(),
    };
    let account_after = match before {
        None => {
            accounts.insert(&row, &tx).await?;
            Some(row)
        }
        Some(_) if fastrand::u32(0..5) == 0 => {
            accounts.delete(&account, &tx).await?;
            None
        }
        Some(_) => {
            accounts.update(&row, &tx).await?;
            Some(row)
        }
    };
    changes.insert(&Change { id, account, version, account_after }, &tx).await
}
