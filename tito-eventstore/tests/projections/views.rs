//! What readers see.

use tito_core::keys;
use tito_core::prelude::*;
use tito_core::{BoxError, Transaction};
use tito_eventstore::{Event, EventStoreError, NewEvent, Projection, Projector};
use tito_testkit::{FaultEngine, TestClock, WithFaults};

use crate::support::{Account, projected};

fn account(owner: &str) -> Account {
    Account { id: "1".to_string(), owner: owner.to_string(), balance: 0, events: 1, edition: 0 }
}

#[fact]
pub async fn a_view_is_read_beside_the_rows_of_the_database(db: Database, _: TestClock) {
    let (bank, projection, _) = projected(&db).await;
    bank.append(NewEvent::raw("account.1", "opened", "projected")).await.unwrap();
    projection.catch_up().await.unwrap();
    let own = db.model::<Account>();
    let insert = own.clone();
    db.transaction(|tx| async move { insert.insert(&account("own"), &tx).await }).await.unwrap();

    let tx = db.begin().await.unwrap();
    let view = bank.view("accounts");
    let within = view.within(&tx).await.unwrap();
    assert_eq!(own.get("1", &tx).await.unwrap(), Some(account("own")));
    assert_eq!(view.model::<Account>().get("1", &within).await.unwrap(), Some(account("projected")));
    assert_eq!(view.model::<Account>().rows().reverse().all(&within).await.unwrap(), [account("projected")]);
}

#[fact]
pub async fn rows_are_written_by_the_projector_alone(db: Database, _: TestClock) {
    let (bank, projection, _) = projected(&db).await;
    bank.append(NewEvent::raw("account.1", "opened", "ada")).await.unwrap();
    projection.catch_up().await.unwrap();
    let view = bank.view("accounts");
    let rows = view.model::<Account>();
    let written = view.transaction(|tx| async move { rows.update(&account("eve"), &tx).await }).await;
    let error = written.unwrap_err().to_string();
    assert!(error.contains("data:account:1 is a projection's"), "{error}");
    let other = view.transaction(|tx| async move { tx.put(b"read".to_vec(), b"yes".to_vec()).await });
    other.await.unwrap();
    assert_eq!(db.begin().await.unwrap().get(b"read").await.unwrap(), Some(b"yes".to_vec()));
    for prefix in keys::reserved_prefixes().filter(|prefix| !["data:", "index:"].contains(prefix)) {
        let key = format!("{prefix}x").into_bytes();
        let written = view.transaction(|tx| async move { tx.put(key, Vec::new()).await }).await;
        assert!(matches!(&written, Err(TitoError::ReservedKey { .. })), "{prefix} {written:?}");
    }

    let missing = bank.view("nobody").begin().await.unwrap_err();
    let TitoError::Application(missing) = missing else { panic!("{missing}") };
    assert!(matches!(missing.downcast_ref(), Some(EventStoreError::ProjectionNotFound { .. })), "{missing}");
}

/// What waits for a view waits for its engine.
#[fact]
pub async fn a_view_is_closed_with_its_engine(db: Database, _: TestClock) {
    let db = FaultEngine::new(db).database();
    let (bank, _, _) = projected(&db).await;
    let view = bank.view("accounts");
    db.faults().close("the disk is gone");
    let closed = view.begin().await.unwrap_err();
    assert!(matches!(&closed, TitoError::EngineClosed { reason } if reason == "the disk is gone"), "{closed}");
}

/// How many events there were.
struct Count;

impl Projector for Count {
    fn name(&self) -> &str {
        "count"
    }

    async fn project(&self, _: &Event, tx: &Transaction) -> Result<(), BoxError> {
        let mut counted = tx.get(b"data:account:1").await?.unwrap_or_default();
        counted.push(b'|');
        for other in ["topic:x", "log:x", "!x"] {
            let written = tx.put(other.into(), Vec::new()).await;
            assert!(matches!(&written, Err(TitoError::ReservedKey { .. })), "{written:?}");
        }
        tx.put(b"data:account:1".to_vec(), counted).await?;
        Ok(())
    }
}

#[fact]
pub async fn two_projections_of_one_store_share_no_row(db: Database, _: TestClock) {
    let (bank, accounts, _) = projected(&db).await;
    let count = Projection::new(&bank, Count).await.unwrap();
    bank.append(NewEvent::raw("account.1", "opened", "ada")).await.unwrap();
    bank.append(NewEvent::raw("account.2", "opened", "bob")).await.unwrap();
    accounts.catch_up().await.unwrap();
    count.catch_up().await.unwrap();
    let counted = bank.view("count").begin().await.unwrap().get(b"data:account:1").await.unwrap();
    assert_eq!(counted, Some(b"||".to_vec()));
    assert_eq!(crate::support::rows(&bank).await.len(), 2);
    assert_eq!(bank.projections().await.unwrap(), ["accounts", "count"]);
    bank.remove_projection("count").await.unwrap();
    assert_eq!(crate::support::rows(&bank).await.len(), 2);
}
