//! However much there is in a topic, nothing but a search reads more than a thousand rows of it.
#![allow(clippy::print_stdout, reason = "what each route reads is the figure that is noted")]

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tito_core::Transaction;
use tito_core::event::{EventReference, TitoEvent};
use tito_core::keys;
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStoreConfig, Manager, NewEvent};
use tito_testkit::WithFaults;
use tito_worker::{Publish, Worker};

use crate::roles::ROUTES;
use crate::support::{DESTROYER, Served};

/// How many rows any of them may read.
const MOST_READ: u64 = 1_000;

/// How many events there are, with `TITO_TEST_LARGE` a million.
fn many() -> u64 {
    if std::env::var_os("TITO_TEST_LARGE").is_some() { 1_000_000 } else { 20_000 }
}

/// What is a search, and reads on until it finds something or somebody ends it: it says how far it goes.
const SEARCHES: [&str; 7] = [
    "GET /events/{id}/caused",
    "GET /queues/{queue}/entity",
    "GET /queues/{queue}/dead/groups",
    // By filters.
    "POST /queues/{queue}/replay",
    // All that belongs to somebody.
    "POST /owners/{owner}/erase",
    // All of the database.
    "POST /verify",
    "GET /backup",
];

/// What lasts as long as somebody listens, and what reads what it changes.
const OTHERS: [&str; 6] = [
    "GET /stores/{store}/tail",
    "GET /watch",
    "POST /topics/{topic}/resize",
    "PUT /topics/{topic}/groups/{group}",
    "DELETE /topics/{topic}/groups/{group}",
    "POST /restore/resume",
];

struct Large {
    served: Served,
    manager: Manager,
    /// One that is pending, and lies behind all others of its partition.
    pending: EventReference,
    dead: String,
}

async fn put_all(served: &Served, rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) {
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        let some: Vec<_> = rows.by_ref().take(2_000).collect();
        let put = |tx: Transaction| async move {
            for (key, value) in some {
                tx.system_keys().put(key, value).await?;
            }
            Ok(())
        };
        served.db.transaction(put).await.unwrap();
    }
}

/// Many events are due, scheduled, dead and done, and of a store; all of these in 16 partitions.
async fn large() -> Large {
    let served = Served::counting().await;
    let queue = &served.queue;
    queue.create_topic("mail", 16).await.unwrap();
    queue.set_history("mail", Some(Duration::from_secs(86_400))).await.unwrap();
    queue.pause("mail").await.unwrap();
    let first = served.publish(Publish::new("mail", "user:0").owner("ada")).await;
    let found = queue.find(&first).await.unwrap();
    let (event, key) = (found[0].event.clone().unwrap(), keys::parse_event(found[0].key.as_bytes()).unwrap());
    let copy = |number: u64, dead: bool| {
        let mut event: TitoEvent = event.clone();
        event.id = tito_core::event::event_id(tito_core::Timestamp::from_millis(number), 0, number);
        event.entity = format!("user:{number}");
        event.timestamp = key.seconds - 5 + (number % 10) as i64;
        if dead {
            event.failed_attempts = 3;
        }
        let value = serde_json::to_vec(&event).unwrap();
        let partition = keys::partition_of(&event.entity, 16);
        let build = if dead { tito_worker::keys::dead_event } else { keys::event };
        (build("mail", partition, event.timestamp, event.id), value)
    };
    put_all(&served, (1..many()).map(|number| copy(number, false))).await;
    put_all(&served, (1..many() / 4).map(|number| copy(number, true))).await;
    let done = (1..many() / 4).map(|number| {
        let (key, value) = copy(number, true);
        ([b"done".as_slice(), key.strip_prefix(b"dead".as_slice()).unwrap()].concat(), value)
    });
    put_all(&served, done).await;
    served.clock.advance(Duration::from_secs(60));
    let pending = served.publish(Publish::new("mail", "user:17").owner("ada")).await;
    let dead = served.queue.dead_letters("mail", 1, None).await.unwrap().remove(0);
    let dead = String::from_utf8(dead.key.as_bytes().to_vec()).unwrap();
    let manager = Manager::new(served.db.clone());
    let store = manager.create_event_store(EventStoreConfig::new("mail")).await.unwrap();
    for number in 0..1_200 {
        let event = NewEvent::encoded(format!("account.{number}"), "opened", 1, Codec::Json, "{}".to_string());
        store.append(event).await.unwrap();
    }
    Large { served, manager, pending, dead }
}

fn body_of(route: &str, large: &Large) -> Option<Value> {
    let second = large.pending.timestamp + 60;
    Some(match route {
        "POST /topics/{topic}/events" => json!({ "entity": "user:5" }),
        "POST /topics/{topic}/events/{id}/reschedule" => json!({ "at": second }),
        "POST /queues/{queue}/dead/redrive" | "POST /queues/{queue}/dead/purge" => json!({ "all": true }),
        "POST /stores/{store}/reactors/{reactor}/replay" => json!({ "from": "first" }),
        "PUT /schedules/{name}/override" => json!({ "recurrence": { "every": { "seconds": 60 } } }),
        "PUT /queues/{queue}/limits" => json!({ "concurrency": 3 }),
        "POST /operations" => json!({ "task": { "kind": "redrive", "queue": "mail", "letters": { "all": true } } }),
        "PUT /topics/{topic}/kept" => json!({ "history_seconds": 90_000 }),
        _ => json!({}),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_a_search_reads_more_than_a_thousand_rows() {
    let large = large().await;
    let served = &large.served;
    let mut read = Vec::new();
    let mut passed_over: BTreeSet<&str> = SEARCHES.into_iter().chain(OTHERS).collect();
    let id = large.pending.id.to_string();
    // What changes the event that the others look at comes last.
    let (mut routes, last): (Vec<_>, Vec<_>) = ROUTES.iter().partition(|(_, path, _)| !path.contains("/{id}/"));
    let (cancel, last): (Vec<_>, Vec<_>) = last.into_iter().partition(|(_, path, _)| path.ends_with("/cancel"));
    routes.extend(last.into_iter().chain(cancel));
    for (method, path, _) in routes {
        let route = format!("{method} {path}");
        if passed_over.remove(route.as_str()) {
            continue;
        }
        let names = ["topic", "queue", "group", "name", "fleet", "owner", "store", "projection", "reactor"];
        let filled =
            names.iter().fold(path.replace("{id}", &id), |path, name| path.replace(&format!("{{{name}}}"), "mail"));
        let unknown = "00000000-0000-7000-8000-000000000000";
        let filled = filled.replace("{operation}", unknown).replace("{worker}", unknown);
        // What destroys much, or changes it, is asked for its count first, which is what a command line shows.
        let is_bulk = path.ends_with("/purge") || path.ends_with("/redrive");
        let query = if is_bulk { "?dry_run=true" } else { "" };
        let method: Method = method.parse().unwrap();
        let body = if method == Method::GET { None } else { body_of(&route, &large) };
        let before = served.db.faults().rows_read();
        let (status, answer) = served.ask(method, DESTROYER, &format!("/v1{filled}{query}"), body.as_ref()).await;
        let rows = served.db.faults().rows_read() - before;
        let text = String::from_utf8_lossy(&answer).into_owned();
        // There is no schedule, operation, worker, projection and reactor: that is said.
        assert!(status.is_success() || status == 404, "{route}: {status} {text}");
        read.push((rows, route));
    }
    assert!(passed_over.is_empty(), "{passed_over:?}");

    let letter = json!({ "key": large.dead });
    let before = served.db.faults().rows_read();
    served.post::<Value>("/v1/queues/mail/dead/redrive?dry_run=true", letter).await;
    read.push((served.db.faults().rows_read() - before, "one dead letter".to_string()));

    // What everything is counted for before it is destroyed.
    for (path, body) in [
        ("/v1/owners/ada/erase", json!({})),
        ("/v1/operations", json!({ "task": { "kind": "purge", "queue": "mail", "events": { "all": true } } })),
    ] {
        let before = served.db.faults().rows_read();
        served.post::<Value>(&format!("{path}?dry_run=true"), body).await;
        read.push((served.db.faults().rows_read() - before, format!("a rehearsal of {path}")));
    }

    // What is asked of the library alone.
    let before = served.db.faults().rows_read();
    let queue = &served.queue;
    queue.backlog("mail").await.unwrap();
    queue.activity("mail", 120).await.unwrap();
    queue.schedules().await.unwrap();
    queue.dead_letters("mail", 100, None).await.unwrap();
    read.push((served.db.faults().rows_read() - before, "the library".to_string()));

    read.sort_unstable_by(|a, b| b.cmp(a));
    for (rows, route) in &read {
        println!("{rows:>7} rows: {route}");
    }
    let too_many: Vec<_> = read.iter().filter(|(rows, _)| *rows > MOST_READ).collect();
    assert!(too_many.is_empty(), "{too_many:?}");
    large.manager.close().await;
}

/// A worker counts all in the background, once; from then on it is known, and a sample of the gauges reads none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_it_is_counted_all_that_is_due_is_known() {
    let large = large().await;
    let queue = large.served.queue.clone();
    let db = &large.served.db;
    let some = queue.backlog("mail").await.unwrap();
    assert!(some.at_least && some.count > 0, "{some:?}");
    let worker = Worker::builder(queue.clone())
        .schedules(false)
        .subscribe("other", |_: TitoEvent| async { Ok::<_, tito_core::TitoError>(()) });
    let worker = worker.build();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await });
    loop {
        large.served.clock.advance(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
        let backlog = queue.backlog("mail").await.unwrap();
        if !backlog.at_least {
            assert_eq!(backlog.count, many() + 1);
            break;
        }
    }
    drop(stop);
    run.await.unwrap().unwrap();
    let before = db.faults().rows_read();
    assert_eq!(queue.backlog("mail").await.unwrap().count, many() + 1);
    assert_eq!(db.faults().rows_read() - before, 1, "the topic");
    large.manager.close().await;
}
