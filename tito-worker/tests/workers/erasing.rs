//! All that belongs to an owner is erased, and nothing else.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Call, FaultEngine, Gate, Harness, TestClock, WithFaults};
use tito_worker::keys;
use tito_worker::prelude::*;
use tito_worker::{Advance, GroupStart, Outcome, OwnerCounts, Published, RetryPolicy, Schedule, Subscription, Unique};

use crate::strict::strict;
use crate::support::*;

const HOUR: Duration = Duration::from_secs(3_600);

async fn erase(db: &Database, owner: &str) -> OwnerCounts {
    TitoQueue::new(db.clone()).erase_owner(owner).await.unwrap()
}

/// Whether nothing of an owner can be read any more, by all that reads.
async fn is_gone(db: &Database, owner: &str) -> bool {
    let queue = TitoQueue::new(db.clone());
    let remaining = queue.search_owner(owner).await.unwrap();
    assert_eq!(remaining.unreadable, 0);
    remaining.is_nothing() && queue.owned_by(owner, 10, None).await.unwrap().is_empty()
}

/// All that is stored.
async fn everything(db: &Database) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    stored(db, "").await.iter().map(|(key, value)| format!("{} = {}", text(key), text(value))).collect()
}

/// What there is beside the topics' own state, without notes.
async fn data(db: &Database) -> Vec<String> {
    let kinds = ["event:", "dead:", "done:", "dedup:", "schedule:", "!owned:"];
    let mut all = everything(db).await;
    all.retain(|row| kinds.iter().any(|kind| row.starts_with(kind)));
    all
}

/// By what its entity begins with an event is done, dead-lettered, tried again or postponed.
async fn handle(event: TitoEvent) -> Result<Outcome, TitoError> {
    match event.entity.split(' ').next().unwrap() {
        "dies" => Ok(Outcome::DeadLetter("no".to_string())),
        "retries" => Err(error("no")),
        "step" if event.steps.is_empty() => Ok(Advance::to(&2)?.header("step", "2").after(HOUR).into()),
        _ => Ok(Outcome::Done),
    }
}

fn patient() -> Subscription {
    Subscription::default().retry(RetryPolicy::default().attempts(2).first_delay(HOUR).jitter(0.0))
}

fn worker(db: &Database, clock: &TestClock, queue: &'static str) -> Harness {
    Harness::new(db, clock).subscribe_with(queue, patient(), handle)
}

/// Of each kind one of each owner; of what workers have had in two queues.
async fn one_of_each(db: &Database, clock: &TestClock, owners: &[&str]) {
    for owner in owners {
        publish(db, ["done", "dies", "retries", "step"].map(|what| job(format!("{what} {owner}")).owner(*owner))).await;
    }
    worker(db, clock, "job").drain().await.unwrap();
    worker(db, clock, "job@audit").drain().await.unwrap();
    for owner in owners {
        let later = job(format!("later {owner}")).owner(*owner).delay(HOUR);
        publish(db, [later, job(format!("due {owner}")).owner(*owner)]).await;
        let event = job(format!("unique {owner}")).owner(*owner);
        let unique = Unique::key(format!("key of {owner}")).window(HOUR);
        let queue = TitoQueue::new(db.clone());
        db.transaction(|tx| async move { queue.publish_unique(event, unique, &tx).await }).await.unwrap();
        let schedule = Schedule::every(format!("of {owner}"), HOUR).publishes(job("tick").owner(*owner));
        TitoQueue::new(db.clone()).put_schedule(schedule).await.unwrap();
    }
}

async fn with_audit_and_history(db: &Database) {
    with_group(db, "audit").await;
    TitoQueue::new(db.clone()).set_history("job", Some(24 * HOUR)).await.unwrap();
}

fn counts_of(pending: [u64; 3], kept: [u64; 2], others: [u64; 2]) -> OwnerCounts {
    let mut counts = OwnerCounts::default();
    [counts.due, counts.scheduled, counts.retrying] = pending;
    [counts.dead, counts.done] = kept;
    [counts.unique, counts.schedules] = others;
    counts
}

#[fact]
pub async fn all_of_an_owner_is_erased_and_nothing_of_others(db: Database, clock: TestClock) {
    with_audit_and_history(&db).await;
    publish(&db, ["done", "dies", "retries", "step"].map(job)).await;
    one_of_each(&db, &clock, &["ab", "a"]).await;
    let is_of_a = |row: &String| row.starts_with("!owned:a:") || row.contains("\"owner\":\"a\"");
    let mut others = data(&db).await;
    others.retain(|row| !is_of_a(row));
    let queue = TitoQueue::new(db.clone());
    let expected = counts_of([4, 4, 2], [2, 2], [1, 1]);
    let remaining = queue.search_owner("a").await.unwrap();
    assert_eq!((remaining.found, remaining.is_nothing()), (expected, false));
    assert!(remaining.read as usize >= others.len() / 2);

    assert_eq!(erase(&db, "a").await, expected);
    assert!(is_gone(&db, "a").await);
    assert_eq!(data(&db).await, others, "what is others' is as it was, byte for byte");
    for row in everything(&db).await {
        assert!(!row.contains(" a\"") && !is_of_a(&row), "{row}");
    }
    assert_eq!(erase(&db, "a").await, OwnerCounts::default());
    assert_eq!(erase(&db, "ab").await, expected);
    assert_eq!(erase(&db, "nobody").await, OwnerCounts::default());

    // Work goes on, and the key is free.
    let event = job("unique again").owner("a");
    let published = queue.clone();
    let again = Unique::key("key of a").window(HOUR);
    let again = db.transaction(|tx| async move { published.publish_unique(event, again, &tx).await }).await.unwrap();
    assert!(matches!(again, Published::New(_)));
    let handled = worker(&db, &clock, "job").advance(2 * HOUR).await.unwrap();
    assert!(handled.iter().all(|one| one.event.owner.is_none() || one.event.entity == "unique again"));
}

#[fact]
pub async fn owners_are_any_texts_and_compared_byte_by_byte(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let long = "x".repeat(255);
    let owners = [
        "a",
        "ab",
        "A",
        " a",
        "a ",
        "a:",
        "a:b",
        "a;0b",
        "a;",
        ":",
        "!",
        "a!",
        "\"",
        "\0",
        "a\0",
        "\u{7f}",
        "é",
        "e\u{301}",
        "🎈",
        "%",
        "*",
        "event",
        "a:event:job:0000",
        "!owned:a",
        &long,
        &long[1..],
    ];
    publish(&db, owners.map(|owner| job("same").owner(owner))).await;
    publish(&db, [job("same")]).await;
    for (number, owner) in owners.into_iter().enumerate() {
        assert!(!is_gone(&db, owner).await, "{owner:?}");
        assert_eq!(queue.owned_by(owner, 10, None).await.unwrap().len(), 1);
        assert_eq!(erase(&db, owner).await, counts_of([1, 0, 0], [0, 0], [0, 0]), "{owner:?}");
        assert!(is_gone(&db, owner).await, "{owner:?}");
        assert_eq!(stored(&db, "event:job:").await.len(), owners.len() - number);
        assert_eq!(stored(&db, "!owned:").await.len(), owners.len() - number - 1);
    }
    for owner in ["", &"x".repeat(513)] {
        let tx = db.begin().await.unwrap();
        for error in [
            queue.publish(job("a").owner(owner), &tx).await.map(drop).unwrap_err(),
            queue.erase_owner(owner).await.map(drop).unwrap_err(),
            queue.search_owner(owner).await.map(drop).unwrap_err(),
            queue.owned_by(owner, 1, None).await.map(drop).unwrap_err(),
            queue
                .put_schedule(Schedule::every("s", HOUR).publishes(job("a").owner(owner)))
                .await
                .map(drop)
                .map_err(TitoError::from)
                .unwrap_err(),
        ] {
            assert!(matches!(error, TitoError::InvalidName { what: "owner", .. }), "{error}");
        }
    }
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(table = "invoice", event = "job", owner = self.customer)]
struct Invoice {
    id: u32,
    customer: Option<String>,
}

#[fact]
pub async fn events_of_models_have_the_owner_that_the_row_names(db: Database, clock: TestClock) {
    with_audit_and_history(&db).await;
    let invoices = db.model::<Invoice>();
    let rows = [(1, Some("ada")), (2, Some("bob")), (3, None)];
    db.transaction(|tx| {
        let invoices = invoices.clone();
        async move {
            for (id, customer) in rows {
                invoices.insert(&Invoice { id, customer: customer.map(str::to_string) }, &tx).await?;
            }
            Ok(())
        }
    })
    .await
    .unwrap();
    worker(&db, &clock, "job").drain().await.unwrap();
    // An update moves the row to somebody else: what is told of it from now on is theirs.
    db.transaction(|tx| {
        let invoices = invoices.clone();
        async move { invoices.update(&Invoice { id: 1, customer: Some("bob".to_string()) }, &tx).await }
    })
    .await
    .unwrap();

    let of_group = |pending, done| counts_of([pending, 0, 0], [0, done], [0, 0]);
    assert_eq!(erase(&db, "ada").await, of_group(1, 1), "her insert waits for the group, and is kept");
    assert!(is_gone(&db, "ada").await);
    assert_eq!(erase(&db, "bob").await, of_group(3, 1), "his insert waits for the group, the update for both");
    assert!(is_gone(&db, "bob").await);
    let left = stored(&db, "event:job").await;
    assert_eq!(left.len(), 1, "nobody's insert waits for the group");
}

#[fact]
pub async fn an_owner_can_be_a_header_or_a_field_of_the_payload(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let payload =
        serde_json::json!({ "customer": "ada", "number": 17, "negative": -3, "nested": {"a": 1}, "none": null });
    let event = || job("a").payload(&payload).unwrap().header("tenant", "acme");
    for (event, owner) in [
        (event().owner_of_header("tenant"), "acme"),
        (event().owner_of_field("customer"), "ada"),
        (event().owner_of_field("number"), "17"),
        (event().owner_of_field("negative"), "-3"),
        (event().owner_of_field("number").owner("the last word"), "the last word"),
    ] {
        publish(&db, [event]).await;
        assert_eq!(erase(&db, owner).await.due, 1, "{owner}");
    }
    let refused = ["nested", "none", "missing"].map(|name| event().owner_of_field(name));
    let without = [event().owner_of_header("missing"), job("a").owner_of_field("customer")];
    for event in refused.into_iter().chain(without) {
        let tx = db.begin().await.unwrap();
        let error = queue.publish(event, &tx).await.unwrap_err();
        assert!(matches!(error, TitoError::InvalidName { what: "owner", .. }), "{error}");
    }
}

#[fact]
pub async fn an_owner_costs_a_row_of_an_event_and_none_where_it_is_not_named(db: Database, clock: TestClock) {
    with_group(&db, "audit").await;
    publish(&db, [job("without")]).await;
    assert!(stored(&db, "!owned:").await.is_empty());
    publish(&db, [job("retries").owner("a")]).await;
    let rows = stored(&db, "!owned:").await;
    assert_eq!(rows.len(), 1, "one for all of its queues");
    worker(&db, &clock, "job").drain().await.unwrap();
    assert_eq!(stored(&db, "!owned:").await, rows, "an event that is moved is found by its note");
    let queue = TitoQueue::new(db.clone());
    assert_eq!(queue.owned_by("a", 10, None).await.unwrap().len(), 1);
}

#[fact]
pub async fn an_event_is_found_wherever_it_went(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 5).await.unwrap();
    queue.set_history("job", Some(24 * HOUR)).await.unwrap();
    let ways = ["retried", "rescheduled", "redriven", "replayed", "resized", "copied", "dead resized", "done resized"];
    for way in ways {
        let entity = match way {
            "redriven" | "dead resized" => "dies",
            "retried" => "retries",
            _ => "done",
        };
        let event = job(format!("{entity} {way}")).owner(way);
        let reference = {
            let queue = queue.clone();
            db.transaction(|tx| async move { queue.publish(event, &tx).await }).await.unwrap()
        };
        let all = at_second(0)..at_second(9_999_999_999);
        let (mut pending, mut kept) = (1, 0);
        match way {
            "rescheduled" => {
                let (time, queue) = (at_second(seconds(&clock) + 900), queue.clone());
                let put = db.transaction(|tx| async move { queue.reschedule(&reference, time, &tx).await });
                assert!(put.await.unwrap().is_some());
            }
            "retried" => drop(worker(&db, &clock, "job").drain().await.unwrap()),
            "redriven" => {
                worker(&db, &clock, "job").drain().await.unwrap();
                assert_eq!(queue.redrive_all("job").await.unwrap().events, 1);
                // Also when the row of where it was published has been deleted meanwhile, and that of the letter.
                queue.sweep_owned().await.unwrap();
            }
            "replayed" => {
                worker(&db, &clock, "job").drain().await.unwrap();
                queue.sweep_owned().await.unwrap();
                assert_eq!(queue.replay("job", all, "job").await.unwrap().events, 1);
                kept = 1;
            }
            "resized" => drop(turning(&clock, queue.resize_topic("job", 11)).await.unwrap()),
            "copied" => {
                turning(&clock, queue.add_group("job", "late", GroupStart::History)).await.unwrap();
                pending = 2;
            }
            _ => {
                worker(&db, &clock, "job").drain().await.unwrap();
                turning(&clock, queue.resize_topic("job", 2)).await.unwrap();
                turning(&clock, queue.resize_topic("job", 7)).await.unwrap();
                (pending, kept) = (u64::from(way == "done resized" || way == "dead resized"), 1);
            }
        }
        let erased = erase(&db, way).await;
        let found = (erased.due + erased.scheduled + erased.retrying, erased.dead + erased.done);
        assert_eq!(found, (pending, kept), "{way}");
        assert!(is_gone(&db, way).await, "{way}");
        queue.purge("job").await.unwrap();
        queue.sweep_owned().await.unwrap();
        assert!(stored(&db, "!owned:").await.is_empty(), "{way}");
    }
}

async fn many(db: &Database) {
    let events = (0..450).map(|number| job(number).owner("a").delay(HOUR));
    publish(db, events.chain([job("b").owner("b")])).await;
}

#[fact]
pub async fn an_erasure_that_is_interrupted_anywhere_is_finished_by_another(db: Database, clock: TestClock) {
    for how in [Interruption::Dropped, Interruption::Unknown] {
        for n in 1.. {
            let db = FaultEngine::new(db.clone()).database();
            many(&db).await;
            let queue = TitoQueue::new(db.clone());
            let erased = async { Ok(queue.erase_owner("a").await?) };
            let goes_on = interrupted(&db, &clock, (how, n), erased).await;
            let rest = erase(&db, "a").await;
            assert!(is_gone(&db, "a").await, "{how:?} {n}");
            assert_eq!(erase(&db, "b").await.total(), 1);
            if !goes_on {
                assert!(n > 3, "it has several steps");
                assert_eq!(rest.total(), 0);
                break;
            }
            assert!(rest.total() < 450 || n == 1);
        }
    }
}

#[fact]
pub async fn steps_are_bounded_and_can_be_taken_one_by_one(db: Database, _: TestClock) {
    many(&db).await;
    for group in 0..40 {
        with_group(&db, &format!("group-{group}")).await;
    }
    let queue = TitoQueue::new(db.clone());
    let mut erasure = queue.erasing("a").unwrap();
    let mut steps = 0;
    let mut before = everything(&db).await.len();
    while erasure.step().await.unwrap() {
        let after = everything(&db).await.len();
        // One row and one event each; what is looked at in 41 queues are not all at once.
        assert!((1..=2 * 800 / 83).contains(&(before - after)) || before == after, "{}", before - after);
        (steps, before) = (steps + 1, after);
    }
    assert!(steps >= 450 / 9, "{steps} steps");
    assert_eq!(erasure.so_far().total(), 450);
    assert!(!erasure.step().await.unwrap(), "it is at its end");
    let mut search = queue.searching_owner("a").unwrap();
    let mut pages = 0;
    while search.step().await.unwrap() {
        pages += 1;
    }
    assert!(pages >= 1 && search.so_far().is_nothing());
    assert_eq!(queue.owned_by("b", 1, None).await.unwrap().len(), 1);
}

#[fact]
pub async fn what_belongs_to_an_owner_is_shown_in_pages(db: Database, _: TestClock) {
    many(&db).await;
    let queue = TitoQueue::new(db.clone());
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = queue.owned_by("a", 100, after.as_ref()).await.unwrap();
        assert!(page.len() <= 100);
        let Some(last) = page.last().cloned() else { break };
        seen.extend(page);
        after = Some(last);
    }
    let mut events: Vec<_> = stored(&db, "event:job:").await.into_iter().map(|(key, _)| key).collect();
    let is_b = |key: &Vec<u8>| !seen.iter().any(|seen| seen.as_bytes() == key);
    assert_eq!(events.iter().filter(|key| is_b(key)).count(), 1);
    events.retain(|key| !is_b(key));
    assert_eq!(seen.len(), events.len());
}

#[fact]
pub async fn what_is_erased_while_it_is_handled_does_not_come_back(db: Database, clock: TestClock) {
    with_audit_and_history(&db).await;
    for outcome in ["done", "dies", "retries", "step"] {
        for is_transactional in [false, true] {
            publish(&db, [job(format!("{outcome} x")).owner("a")]).await;
            let (gate, entered) = (Gate::new(), tokio::sync::mpsc::unbounded_channel());
            let (tell, mut told) = entered;
            let passed = gate.clone();
            let handler = move |event: TitoEvent, tx: Transaction| {
                let (gate, tell) = (passed.clone(), tell.clone());
                async move {
                    tx.put(b"effect".to_vec(), b"of a".to_vec()).await?;
                    let _ = tell.send(());
                    gate.pass().await;
                    handle(event).await
                }
            };
            let builder = Worker::builder(TitoQueue::new(db.clone()));
            let builder = if is_transactional {
                builder.subscribe_with("job", patient(), handler)
            } else {
                let db = db.clone();
                builder.subscribe_with("job", patient(), move |event: TitoEvent| {
                    let (db, handler) = (db.clone(), handler.clone());
                    async move {
                        let tx = db.begin().await?;
                        handler(event, tx).await
                    }
                })
            };
            let running = Running::start(builder);
            told.recv().await.unwrap();
            let erased = erase(&db, "a").await;
            assert_eq!(erased.due, 2, "in both of its queues");
            gate.open();
            turning(&clock, running.stop()).await;
            assert!(is_gone(&db, "a").await, "{outcome} {is_transactional}");
            assert!(stored(&db, "effect").await.is_empty());
            assert!(data(&db).await.is_empty());
        }
    }
}

#[fact]
pub async fn an_erased_event_does_not_block_its_entity(db: Database, clock: TestClock) {
    with_one_partition(&db).await;
    publish(&db, [job("same").owner("a").action("fails"), job("same").owner("b").action("1"), job("same").action("2")])
        .await;
    let long = RetryPolicy::default().attempts(9).first_delay(24 * HOUR).jitter(0.0);
    let mut harness =
        Harness::new(&db, &clock).subscribe_with("job", strict().retry(long), |event: TitoEvent| async move {
            if event.action == "fails" { Err(error("no")) } else { Ok(()) }
        });
    assert_eq!(harness.drain().await.unwrap().len(), 1);
    assert!(harness.advance(Duration::from_secs(60)).await.unwrap().is_empty(), "they wait");
    assert_eq!(erase(&db, "a").await.retrying, 1);
    let handled = harness.advance(Duration::from_secs(2)).await.unwrap();
    assert_eq!(handled.iter().map(|one| one.event.action.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    // Also by a worker that begins then.
    publish(&db, [job("same").owner("a").action("fails"), job("same").action("3")]).await;
    assert_eq!(harness.advance(Duration::from_secs(1)).await.unwrap().len(), 1);
    erase(&db, "a").await;
    let mut others = Harness::new(&db, &clock).subscribe_with("job", strict(), |_: TitoEvent| async { Done::Ok(()) });
    assert_eq!(others.drain().await.unwrap().len(), 1);
}

#[fact]
pub async fn a_key_or_a_schedule_that_became_anothers_is_left_to_the_other(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let unique = |owner: &'static str| {
        let queue = queue.clone();
        let unique = Unique::key("k").window(HOUR).replace();
        db.transaction(move |tx| async move { queue.publish_unique(job("x").owner(owner), unique, &tx).await })
    };
    unique("a").await.unwrap();
    unique("b").await.unwrap();
    for owner in ["a", "b"] {
        let schedule = Schedule::every("s", HOUR).publishes(job("tick").owner(owner));
        assert_eq!(queue.put_schedule(schedule).await.unwrap().owner.as_deref(), Some(owner));
    }
    assert_eq!(erase(&db, "a").await, OwnerCounts::default());
    assert!(is_gone(&db, "a").await);
    assert_eq!(erase(&db, "b").await, counts_of([1, 0, 0], [0, 0], [1, 1]));
    assert!(data(&db).await.is_empty());
}

#[fact]
pub async fn events_of_a_schedule_belong_to_its_owner(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let schedule = Schedule::every("s", Duration::from_secs(60)).publishes(Publish::new("tick", "x").owner("a"));
    queue.put_schedule(schedule).await.unwrap();
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    harness.advance(Duration::from_secs(60)).await.unwrap();
    assert_eq!(erase(&db, "a").await, counts_of([1, 0, 0], [0, 0], [0, 1]));
    harness.advance(Duration::from_secs(600)).await.unwrap();
    assert!(is_gone(&db, "a").await);
}

#[fact]
pub async fn rows_of_what_is_gone_are_swept_and_others_stay(db: Database, clock: TestClock) {
    with_audit_and_history(&db).await;
    one_of_each(&db, &clock, &["a"]).await;
    publish(&db, (0..300).map(|number| job(format!("plain {number}")).owner("b"))).await;
    let queue = TitoQueue::new(db.clone());
    let before = stored(&db, "!owned:").await.len();
    // Both done and died: what they were published as.
    assert_eq!(queue.sweep_owned().await.unwrap(), 2);
    assert_eq!(stored(&db, "!owned:").await.len(), before - 2);
    queue.purge_where("job", |event| event.owner.as_deref() == Some("b")).await.unwrap();
    assert_eq!(queue.sweep_owned().await.unwrap(), 0, "they are in the group's queue");
    queue.purge("job@audit").await.unwrap();
    assert_eq!(queue.sweep_owned().await.unwrap(), 300);
    assert_eq!(erase(&db, "a").await, counts_of([2, 2, 1], [2, 2], [1, 1]));
}

#[fact]
pub async fn a_replay_and_an_erasure_leave_nothing_whoever_comes_first(db: Database, clock: TestClock) {
    let db = FaultEngine::new(db).database();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 1).await.unwrap();
    queue.set_history("job", Some(24 * HOUR)).await.unwrap();
    publish(&db, [job("done 1").owner("a"), job("done 2")]).await;
    worker(&db, &clock, "job").drain().await.unwrap();
    let step = db.faults().at(Call::Commit).key_prefix("event:job:").nth(1).hold();
    let replaying = tokio::spawn({
        let queue = queue.clone();
        async move { queue.replay("job", at_second(0)..at_second(9_999_999_999), "job").await }
    });
    step.arrivals(1).await;
    assert_eq!(erase(&db, "a").await.done, 1);
    step.open();
    assert_eq!(replaying.await.unwrap().unwrap().events, 1, "what was erased is not replayed");
    assert!(is_gone(&db, "a").await);
}

#[fact]
pub async fn what_can_not_be_read_is_told_when_all_else_is_erased(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    for topic in ["damaged", "job", "whole"] {
        publish(&db, (0..3).map(|number| Publish::new(topic, number.to_string()).owner("a"))).await;
    }
    let schedule = Schedule::every("s", HOUR).publishes(job("tick").owner("a"));
    queue.put_schedule(schedule).await.unwrap();
    let topic = stored(&db, "topic:damaged").await.remove(0).1;
    put(&db, keys::topic("damaged"), "nonsense").await;
    put(&db, keys::schedule("s"), "nonsense").await;
    let error = queue.erase_owner("a").await.unwrap_err();
    assert!(matches!(error, TitoError::Malformed { .. }), "{error}");
    assert!(error.to_string().contains("topic:damaged"), "{error}");
    assert_eq!(stored(&db, "event:").await.len(), 3);
    let remaining = queue.search_owner("a").await.unwrap();
    assert_eq!((remaining.found.due, remaining.indexed, remaining.unreadable), (3, 4, 1));
    put(&db, keys::topic("damaged"), topic).await;
    queue.remove_schedule("s").await.unwrap();
    assert_eq!(erase(&db, "a").await.due, 3);
    assert!(is_gone(&db, "a").await);
}

/// An event whose bytes were damaged is known by its id.
#[fact]
pub async fn an_event_that_is_none_any_more_is_erased_too(db: Database, _: TestClock) {
    publish(&db, [job("1").owner("a")]).await;
    let (key, _) = stored(&db, "event:job:").await.remove(0);
    put(&db, key, "nonsense").await;
    let erased = erase(&db, "a").await;
    assert_eq!((erased.malformed, erased.total()), (1, 1));
    assert!(stored(&db, "event:").await.is_empty());
}

#[fact]
pub async fn nothing_of_a_topic_that_was_forgotten_is_in_the_way(db: Database, _: TestClock) {
    publish(&db, [job("1").owner("a")]).await;
    db.transaction(|tx| async move { tx.system_keys().delete(keys::topic("job")).await }).await.unwrap();
    assert_eq!(erase(&db, "a").await.due, 1);
}
