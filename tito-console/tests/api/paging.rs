//! Pages are bounded in items and in bytes, and all lists that grow come in pages.

use std::time::Duration;

use axum::http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tito_console::api::{DeadLetter, Found, Lease, OfEntity, Operation, Page, PendingEvent, Projection, Schedule};
use tito_core::event::TitoEvent;
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStoreConfig, Manager, NewEvent};
use tito_testkit::Harness;
use tito_worker::{Publish, RetryPolicy, Schedule as Periodic, Subscription};

use crate::support::{DESTROYER, READER, Served};

/// How many bytes a page may have: 8 MiB and its last item.
const MOST: usize = 9 << 20;

/// The items of all pages, of which each goes on behind the one before.
async fn all<T: DeserializeOwned>(served: &Served, path: &str, limit: usize) -> (Vec<T>, usize) {
    let (mut items, mut after, mut pages) = (Vec::new(), String::new(), 0);
    let separator = if path.contains('?') { '&' } else { '?' };
    loop {
        let path = format!("{path}{separator}limit={limit}{after}");
        let (status, bytes) = served.ask(Method::GET, READER, &path, None).await;
        assert!(status == 200 && bytes.len() < MOST, "{path}: {status}, {} bytes", bytes.len());
        let page: Page<T> = serde_json::from_slice(&bytes).unwrap();
        assert!(page.items.len() <= limit, "{path}");
        items.extend(page.items);
        pages += 1;
        let Some(next) = page.next else { return (items, pages) };
        after = format!("&after={}", next.replace('%', "%25").replace(' ', "%20"));
    }
}

/// As large as an event can be, nearly.
fn large(number: usize) -> String {
    format!("{number:02}{}", "x".repeat(900_000))
}

#[tokio::test]
async fn a_page_of_large_events_ends_by_its_bytes() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    served.queue.set_history("mail", Some(Duration::from_secs(86_400))).await.unwrap();
    for number in 0..20 {
        served.publish(Publish::new("mail", "user:1").payload(&large(number)).unwrap()).await;
    }
    let (pending, pages) = all::<PendingEvent>(&served, "/v1/queues/mail/events", 1_000).await;
    assert_eq!((pending.len(), pages), (20, 3));
    let entity: OfEntity = served.get("/v1/queues/mail/entity?entity=user%3A1&limit=1000").await;
    assert!(entity.items.len() < 20 && !entity.is_whole);
    let fail = |event: TitoEvent| async move {
        if event.payload.unwrap().get().starts_with("\"0") { Err("it has to be at least 10") } else { Ok(()) }
    };
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    Harness::new(&served.db, &served.clock).subscribe_with("mail", once, fail).drain().await.unwrap();
    let (dead, pages) = all::<DeadLetter>(&served, "/v1/queues/mail/dead", 1_000).await;
    assert_eq!((dead.len(), pages), (10, 2));
    let (done, pages) = all::<Value>(&served, "/v1/queues/mail/history", 1_000).await;
    assert_eq!((done.len(), pages), (10, 2));
}

#[tokio::test]
async fn a_page_of_large_events_of_a_store_ends_by_its_bytes() {
    let served = Served::new().await;
    let manager = Manager::new(served.db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    for number in 0..20 {
        let data = json!(large(number)).to_string();
        bank.append(NewEvent::encoded("account.17", "deposited", 1, Codec::Json, data)).await.unwrap();
    }
    let (events, pages) = all::<Value>(&served, "/v1/stores/bank/events", 1_000).await;
    assert_eq!((events.len(), pages), (20, 3));
    manager.close().await;
}

#[tokio::test]
async fn a_page_of_large_operations_ends_by_its_bytes() {
    let served = Served::new().await;
    for number in 0..20 {
        let task = json!({ "kind": "named", "name": "index", "input": large(number) });
        let (status, _) = served.ask(Method::POST, DESTROYER, "/v1/operations", Some(&json!({ "task": task }))).await;
        assert_eq!(status, 200);
    }
    let (operations, pages) = all::<Operation>(&served, "/v1/operations", 1_000).await;
    assert_eq!((operations.len(), pages), (20, 3));
}

#[tokio::test]
async fn what_can_not_be_read_does_not_end_a_listing() {
    let served = Served::new().await;
    for number in 0..6 {
        let task = json!({ "task": { "kind": "named", "name": "index", "input": number } });
        let (_, bytes) = served.ask(Method::POST, DESTROYER, "/v1/operations", Some(&task)).await;
        let begun: Operation = serde_json::from_slice(&bytes).unwrap();
        if (2..5).contains(&number) {
            let key = tito_worker::keys::operation(begun.id);
            let put = |tx: tito_core::Transaction| async move { tx.system_keys().put(key, b"{".to_vec()).await };
            served.db.transaction(put).await.unwrap();
        }
    }
    let (operations, _) = all::<Operation>(&served, "/v1/operations", 2).await;
    let inputs: Vec<_> = operations.iter().map(|operation| operation.task["input"].clone()).collect();
    assert_eq!(inputs, [5, 1, 0]);
}

#[tokio::test]
async fn what_an_event_has_caused_comes_in_pages_of_bytes() {
    let served = Served::new().await;
    served.queue.create_topic("copies", 1).await.unwrap();
    let event = served.publish(Publish::new("mail", "user:1")).await;
    let queue = served.queue.clone();
    let publish = move |_: TitoEvent, tx: tito_core::Transaction| {
        let queue = queue.clone();
        async move {
            for number in 0..20 {
                queue.publish(Publish::new("copies", "user:1").payload(&large(number))?, &tx).await?;
            }
            Ok::<_, tito_core::TitoError>(())
        }
    };
    Harness::new(&served.db, &served.clock).subscribe("mail", publish).drain().await.unwrap();
    let (mut found, mut after) = (0, String::new());
    loop {
        let path = format!("/v1/events/{}/caused{after}", event.id);
        let (status, bytes) = served.ask(Method::GET, READER, &path, None).await;
        assert!(status == 200 && bytes.len() < MOST, "{status}, {} bytes", bytes.len());
        let page: Found = serde_json::from_slice(&bytes).unwrap();
        found += page.items.len();
        let Some(next) = page.next else { break };
        after = format!("?after={}", next.replace('%', "%25"));
    }
    assert_eq!(found, 20);
}

#[tokio::test]
async fn schedules_come_in_pages() {
    let served = Served::new().await;
    for name in ["c", "a b", "b%", "d", "e"] {
        let schedule = Periodic::every(name, Duration::from_secs(60)).publishes(Publish::new("mail", "all"));
        served.queue.put_schedule(schedule).await.unwrap();
    }
    let (schedules, pages) = all::<Schedule>(&served, "/v1/schedules", 2).await;
    let names: Vec<_> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
    assert_eq!((names, pages), (vec!["a b", "b%", "c", "d", "e"], 3));
}

#[tokio::test]
async fn projections_and_reactors_come_in_pages() {
    let served = Served::new().await;
    let manager = Manager::new(served.db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await.unwrap();
    for name in ["c", "a", "e", "b", "d"] {
        bank.add_projection(name).await.unwrap();
    }
    let (projections, pages) = all::<Projection>(&served, "/v1/stores/bank/projections", 2).await;
    let names: Vec<_> = projections.iter().map(|projection| projection.name.as_str()).collect();
    assert_eq!((names, pages), (vec!["a", "b", "c", "d", "e"], 3));
    let (reactors, _) = all::<Value>(&served, "/v1/stores/bank/reactors", 1).await;
    assert_eq!(reactors, Vec::<Value>::new());
    manager.close().await;
}

#[tokio::test]
async fn what_is_no_place_in_a_listing_is_refused() {
    let served = Served::new().await;
    served.queue.create_topic("mail", 1).await.unwrap();
    for path in ["/v1/workers", "/v1/fleets/mail/members", "/v1/queues/mail/leases"] {
        let (status, problem) = served.refused(Method::GET, READER, &format!("{path}?after=x"), None).await;
        assert_eq!(status, 400, "{path}: {}", problem.message);
        let (status, _) = served.refused(Method::GET, READER, &format!("{path}?limit=0"), None).await;
        assert_eq!(status, 400, "{path}");
    }
    let (leases, pages) = all::<Lease>(&served, "/v1/queues/mail/leases", 1).await;
    assert_eq!((leases, pages), (vec![], 1));
}
