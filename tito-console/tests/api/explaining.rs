//! Why an event is not handled, and what it did.

use tito_console::api::{Explanation, Found, OfEntity};
use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_testkit::Harness;
use tito_worker::{Publish, TitoQueue};

use crate::support::Served;

#[tokio::test]
async fn an_event_says_why_it_waits() {
    let served = Served::new().await;
    let event = served.publish(Publish::new("mail", "user:1")).await;
    served.queue.pause("mail").await.unwrap();
    let path = format!("/v1/queues/mail/events/{}/explain", event.id);
    for query in ["".to_string(), "?entity=user:1".to_string(), format!("?entity=user:1&timestamp={}", event.timestamp)]
    {
        let said: Explanation = served.get(&format!("{path}{query}")).await;
        assert_eq!(said.because[0].because, "paused", "{said:?}");
        assert!(said.because[0].text.contains("paused") && said.event.is_some(), "{said:?}");
    }
    let of: OfEntity = served.get("/v1/queues/mail/entity?entity=user:1").await;
    assert_eq!((of.items.len(), of.is_whole), (1, true));
}

#[tokio::test]
async fn what_an_event_has_caused_is_found() {
    let served = Served::new().await;
    let first = served.publish(Publish::new("mail", "user:1")).await;
    served.queue.create_topic("audit", 1).await.unwrap();
    let publish = |_: TitoEvent, tx: Transaction| async move {
        TitoQueue::new(tx.database().clone()).publish(Publish::new("audit", "mail"), &tx).await.map(drop)
    };
    Harness::new(&served.db, &served.clock).subscribe("mail", publish).drain().await.unwrap();
    let found: Found = served.get(&format!("/v1/events/{}/caused", first.id)).await;
    assert_eq!((found.items.len(), found.items[0].queue.as_str(), found.next), (1, "audit", None));
}
