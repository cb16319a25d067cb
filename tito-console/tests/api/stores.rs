//! Event stores.

use axum::http::Method;
use serde_json::json;
use tito_console::api::{Code, Operation, Page, Projection, Reactor, Store, StoreEvent};
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStoreConfig, Manager, NewEvent, ReactFrom};

use crate::support::{DESTROYER, OPERATOR, READER, Served};

async fn served() -> (Served, Manager) {
    let served = Served::new().await;
    let manager = Manager::new(served.db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank").description("money")).await.unwrap();
    for amount in 1..=3 {
        let event = NewEvent::encoded("account.17", "deposited", 1, Codec::Json, json!({ "n": amount }).to_string());
        bank.append(event.metadata("by", "ada")).await.unwrap();
    }
    bank.append(NewEvent::raw("account.18", "opened", [0xff, 0xfe])).await.unwrap();
    (served, manager)
}

#[tokio::test]
async fn stores_and_their_events_are_listed() {
    let (served, manager) = served().await;
    let names: Page<String> = served.get("/v1/stores").await;
    assert_eq!(names.items, ["bank"]);
    let bank: Store = served.get("/v1/stores/bank").await;
    assert_eq!((bank.description.as_str(), bank.last_sequence, bank.events), ("money", 4, 4));
    let page: Page<StoreEvent> = served.get("/v1/stores/bank/events?select=account.17&limit=2").await;
    assert_eq!(page.items.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(page.items[0].data.as_ref().unwrap().get(), r#"{"n":1}"#);
    assert_eq!(page.items[0].metadata["by"], "ada");
    let after = page.next.unwrap();
    let rest: Page<StoreEvent> = served.get(&format!("/v1/stores/bank/events?after={after}")).await;
    assert_eq!(rest.items.iter().map(|event| event.sequence).collect::<Vec<_>>(), [3, 4]);
    assert!(rest.items[1].data.is_none() && rest.items[1].data_bytes == 2, "bytes are no JSON");
    assert_eq!(served.get::<Page<Projection>>("/v1/stores/bank/projections").await.items, []);
    assert_eq!(served.get::<Page<Reactor>>("/v1/stores/bank/reactors").await.items, []);
    manager.close().await;
}

#[tokio::test]
async fn a_projection_is_looked_at_and_rebuilt() {
    let (served, manager) = served().await;
    manager.get_event_store("bank").await.unwrap().add_projection("balances").await.unwrap();
    let path = "/v1/stores/bank/projections/balances/rebuild?why=new+projector";
    let begun: Operation = served.post(path, json!({})).await;
    assert_eq!(begun.task, json!({ "kind": "rebuild", "store": "bank", "projection": "balances" }));
    assert_eq!(
        (begun.state.as_str(), begun.who.as_str(), begun.why.as_str()),
        ("waiting", "destroyer", "new projector")
    );
    // Whoever has the projection does it.
    let found: Page<Projection> = served.get("/v1/stores/bank/projections").await;
    assert_eq!((found.items[0].name.as_str(), found.items[0].rebuilt_to), ("balances", None));
    let path = "/v1/stores/bank/projections/balance/rebuild";
    assert_eq!(served.refused(Method::POST, DESTROYER, path, Some(&json!({}))).await.0, 404);
    manager.close().await;
}

#[tokio::test]
async fn a_reactor_is_looked_at_and_replayed() {
    let (served, manager) = served().await;
    let bank = manager.get_event_store("bank").await.unwrap();
    bank.react("mailer", "account", ReactFrom::New).await.unwrap();
    let reactors = async || served.get::<Page<Reactor>>("/v1/stores/bank/reactors").await.items;
    let found = reactors().await;
    assert_eq!((found[0].name.as_str(), found[0].position, found[0].last_sequence), ("mailer", 4, 4));
    let path = "/v1/stores/bank/reactors/mailer/replay";
    for (from, position) in [
        (json!("first"), 0),
        (json!("last"), 3),
        (json!("new"), 4),
        (json!({ "sequence": 2 }), 1),
        (json!({ "time": 0 }), 0),
    ] {
        let _: serde_json::Value = served.post(path, json!({ "from": from })).await;
        assert_eq!(reactors().await[0].position, position, "{from}");
    }
    for (path, body, status) in [
        (path, json!({}), 400),
        (path, json!({ "from": "nowhere" }), 400),
        (path, json!({ "from": { "time": i64::MAX } }), 400),
        ("/v1/stores/bank/reactors/none/replay", json!({ "from": "first" }), 404),
    ] {
        assert_eq!(served.refused(Method::POST, OPERATOR, path, Some(&body)).await.0, status, "{path} {body}");
    }
    manager.close().await;
}

#[tokio::test]
async fn what_is_not_there_or_no_pattern_is_said_so() {
    let (served, manager) = served().await;
    let table = [
        ("/v1/stores/none", 404, Code::NotFound),
        ("/v1/stores/none/events", 404, Code::NotFound),
        ("/v1/stores/bank/events?select=a.b.c.d", 400, Code::Invalid),
        ("/v1/stores/bank/events?select=%00", 400, Code::Invalid),
        ("/v1/stores/bank/events?after=-1", 400, Code::Invalid),
    ];
    for (path, status, code) in table {
        let (found, problem) = served.refused(Method::GET, READER, path, None).await;
        assert_eq!((found, problem.code), (status, code), "{path}: {}", problem.message);
    }
    manager.close().await;
}
