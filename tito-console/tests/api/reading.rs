//! However much there is in a topic, nothing but a search reads more than a thousand rows of it.
#![allow(clippy::print_stdout, reason = "what each route reads is the figure that is noted")]

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tito_console::api::{Affected, Page};
use tito_core::Transaction;
use tito_core::event::{EventReference, TitoEvent};
use tito_core::keys;
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStoreConfig, Manager, NewEvent};
use tito_testkit::WithFaults;
use tito_worker::{Publish, Schedule as Periodic};
use uuid::Uuid;

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

/// How many of each there are in a listing of what is no event: more than any route may read.
const LISTED: u128 = 1_500;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x018b_cfe5_6800_7000_8000_0000_0000_0000 | number)
}

/// A page of schedules, workers, members and leases reads no others, wherever it is in its listing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_listing_reads_what_it_shows() {
    let served = Served::counting().await;
    let queue = &served.queue;
    queue.create_topic("mail", 1).await.unwrap();
    let schedule = Periodic::every("00000", Duration::from_secs(60)).publishes(Publish::new("mail", "all"));
    queue.put_schedule(schedule).await.unwrap();
    let reading = |tx: Transaction| async move { tx.get(&tito_worker::keys::schedule("00000")).await };
    let schedule = served.db.transaction(reading).await.unwrap().unwrap();
    let name = |number: u128| format!("{number:05}");
    put_all(&served, (1..LISTED).map(|number| (tito_worker::keys::schedule(&name(number)), schedule.clone()))).await;
    let member = json!({ "queues": ["mail"], "heartbeat": 1, "lease_millis": 30_000, "started": 1 }).to_string();
    let member = member.into_bytes();
    // All members are registered but the last hundred.
    let worker = |number: u128| (format!("!worker:{}", id(number)).into_bytes(), member.clone());
    put_all(&served, (0..LISTED).map(worker)).await;
    let in_fleet = |number: u128| (tito_worker::keys::member("fleet", id(number)), member.clone());
    put_all(&served, (100..LISTED + 100).map(in_fleet)).await;
    let lease = |number: u128| {
        let lease = json!({ "member": id(number), "fleet": "fleet", "epoch": 1 }).to_string();
        (tito_worker::keys::lease("mail", number as u16), lease.into_bytes())
    };
    put_all(&served, (0..LISTED).map(lease)).await;

    let listed = LISTED as usize;
    let listings = [
        ("/v1/schedules", "name", listed),
        ("/v1/workers", "id", listed + 100),
        ("/v1/fleets/fleet/members", "id", listed),
        ("/v1/queues/mail/leases", "partition", listed),
    ];
    for (path, identity, expected) in listings {
        for limit in [1, 7, 100] {
            let (mut seen, mut after, mut most) = (BTreeSet::new(), String::new(), 0);
            loop {
                let before = served.db.faults().rows_read();
                let page: Page<Value> = served.get(&format!("{path}?limit={limit}{after}")).await;
                most = most.max(served.db.faults().rows_read() - before);
                assert!(page.items.len() <= limit, "{path}");
                for item in &page.items {
                    assert!(seen.insert(item[identity].to_string()), "{path}: {item} comes twice");
                }
                // With so few in a page some of its listing is enough.
                let Some(next) = page.next.filter(|_| limit == 100 || seen.len() < 50) else { break };
                after = format!("&after={next}");
            }
            println!("{most:>7} rows: {path}?limit={limit}");
            let bound = if path == "/v1/workers" { 5 * limit.max(50) } else { limit + limit / 10 + 5 };
            assert!(most as usize <= bound, "{path}: {most} rows for a page of {limit}");
            assert!(limit < 100 || seen.len() == expected, "{path}: {} of {expected}", seen.len());
        }
    }
    let before = served.db.faults().rows_read();
    let would: Affected = served.delete("/v1/schedules/00700?dry_run=true").await;
    assert_eq!((would.affected, served.db.faults().rows_read() - before), (1, 1));
}
