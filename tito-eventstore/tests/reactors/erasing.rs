//! Entities that are erased while a reactor has still to do with them.

use std::time::Duration;

use tito_core::prelude::*;
use tito_testkit::TestClock;

use crate::support::*;

#[fact]
pub async fn nothing_is_handed_out_of_an_entity_that_was_erased(db: Database, clock: TestClock) {
    for in_transaction in [false, true] {
        let bank = bank(&db).await;
        let reactor = mailer(&bank).await;
        let notes = Notes::failing(|event, _| match event.entity() {
            "account.ada" => Err("not yet".into()),
            _ => Ok(tito_worker::Outcome::Done),
        });
        let mut harness =
            if in_transaction { notes.counting(&db, &clock, &reactor) } else { notes.harness(&db, &clock, &reactor) };
        // Some are in the queue, as the first of them fails; the others are read after they were erased.
        append(&bank, ["account.ada", "account.bob", "account.ada"]).await;
        harness.drain().await.unwrap();
        assert_eq!(in_queue(&db).await, (2, 0));
        append(&bank, ["account.ada", "account.bob"]).await;
        assert_eq!(bank.erase("account.ada").await.unwrap().events, 3);
        assert!(bank.remains("account.ada").await.unwrap().is_nothing());
        notes.clear();
        for _ in 0..20 {
            harness.advance(Duration::from_secs(60)).await.unwrap();
        }
        assert_eq!(notes.sequences(), [5], "in a transaction: {in_transaction}");
        assert_eq!(in_queue(&db).await, (0, 0));
        let info = bank.reactor("mailer").await.unwrap();
        assert_eq!(info.behind(), 0);
        append(&bank, ["account.bob"]).await;
        harness.drain().await.unwrap();
        assert_eq!(notes.sequences(), [5, 6]);
        tito_eventstore::Manager::new(db.clone()).delete_event_store("bank").await.unwrap();
    }
}
