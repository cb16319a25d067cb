//! What a later version has stored in a row survives whatever this one does with the row.

use tito_core::prelude::*;
use tito_testkit::TestClock;

use crate::support::{Customers, assert_folded, projected};
use tito_testkit::later::{add, assert_kept, log_of};

#[fact]
pub async fn a_projections_rows_keep_it_while_it_folds_fails_and_is_rebuilt(db: Database, _: TestClock) {
    let (bank, projection, controls) = projected(&db).await;
    let mut customers = Customers::new();
    customers.append(&bank, 50).await;
    controls.fail(Some((30, "the ledger is closed")));
    projection.catch_up().await.unwrap_err();
    let log = log_of(&db, "bank").await;
    let generations = format!("{log}projection:accounts");
    let checkpoint = format!("{log}view:accounts:0000000000000001:checkpoint");
    add(&db, &generations, &[""]).await;
    add(&db, &checkpoint, &["", "/failure"]).await;

    projection.catch_up().await.unwrap_err();
    assert_kept(&db, &checkpoint, &["", "/failure"]).await;
    controls.fail(Some((40, "the ledger is closed")));
    projection.catch_up().await.unwrap_err();
    assert_kept(&db, &checkpoint, &[""]).await;
    controls.fail(None);
    projection.catch_up().await.unwrap();
    assert_kept(&db, &checkpoint, &[""]).await;

    bank.rebuild_projection("accounts").await.unwrap();
    assert_kept(&db, &generations, &[""]).await;
    projection.catch_up().await.unwrap();
    assert_folded(&bank, 0).await;
    assert_kept(&db, &generations, &[""]).await;
}
