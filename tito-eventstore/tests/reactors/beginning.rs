//! Where reactors begin, what they see, and what that costs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tito_core::Transaction;
use tito_core::clock::Clock;
use tito_core::prelude::*;
use tito_eventstore::{Event, NewEvent, ReactFrom, Select};
use tito_testkit::{Harness, TestClock};

use crate::support::*;

#[fact]
pub async fn a_reactor_is_handed_what_there_is_and_what_comes_once_and_in_order(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append_many(&bank, 1_300, 7).await;
    let (reactor, notes) = (mailer(&bank).await, Notes::new());
    let mut harness = notes.harness(&db, &clock, &reactor);
    harness.drain().await.unwrap();
    assert_eq!(notes.sequences(), (1..=1_300).collect::<Vec<_>>());
    append_many(&bank, 10, 3).await;
    harness.drain().await.unwrap();
    // Another worker goes on where this one was.
    append_many(&bank, 10, 3).await;
    notes.harness(&db, &clock, &reactor).drain().await.unwrap();
    assert_eq!(notes.sequences(), (1..=1_320).collect::<Vec<_>>());
    assert_eq!(harness.report().done, 1_310);
    let info = bank.reactor("mailer").await.unwrap();
    assert_eq!((info.position, info.open, info.last_sequence, info.behind()), (1_320, 0, 1_320, 0));
    assert_eq!(in_queue(&db).await, (0, 0));
}

#[fact]
pub async fn a_reactor_begins_with_the_first_the_last_a_sequence_a_time_or_what_is_new(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    append(&bank, ["account.1", "account.2", "card.1"]).await;
    clock.advance(Duration::from_secs(60));
    let time = DateTime::<Utc>::from_timestamp_millis(clock.now_millis() as i64).unwrap();
    append(&bank, ["account.1", "account.2"]).await;
    clock.advance(Duration::from_secs(60));
    append(&bank, ["account.3"]).await;
    let later = DateTime::<Utc>::from_timestamp_millis(clock.now_millis() as i64 + 1).unwrap();
    let cases = [
        ("first", ReactFrom::First, vec![1, 2, 4, 5, 6, 7]),
        ("last", ReactFrom::Last, vec![6, 7]),
        ("new", ReactFrom::New, vec![7]),
        ("sequence", ReactFrom::Sequence(5), vec![5, 6, 7]),
        ("third", ReactFrom::Sequence(3), vec![4, 5, 6, 7]),
        ("zero", ReactFrom::Sequence(0), vec![1, 2, 4, 5, 6, 7]),
        ("time", ReactFrom::Time(time), vec![4, 5, 6, 7]),
        ("later", ReactFrom::Time(later), vec![7]),
        ("ever", ReactFrom::Time(DateTime::<Utc>::MIN_UTC), vec![1, 2, 4, 5, 6, 7]),
    ];
    let mut reactors = Vec::new();
    for (name, from, expected) in cases {
        reactors.push((bank.react(name, "account", from).await.unwrap(), Notes::new(), expected));
    }
    append(&bank, ["account.1"]).await;
    for (reactor, notes, expected) in &reactors {
        // A later call does not have it begin anew.
        bank.react(reactor.name(), "account", ReactFrom::New).await.unwrap();
        notes.harness(&db, &clock, reactor).drain().await.unwrap();
        assert_eq!(&notes.sequences(), expected, "{reactor:?}");
    }
}

#[fact]
pub async fn a_reactor_is_handed_what_its_filter_selects(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    for number in 0..40 {
        let (entity, event_type) = (format!("account.{}", number % 4), ["opened", "closed"][number / 4 % 2]);
        bank.append(NewEvent::raw(entity, event_type, "data")).await.unwrap();
    }
    let selects = [
        (
            "opened",
            Select::filter("account.*.opened"),
            (1..=40).filter(|one| (one - 1) / 4 % 2 == 0).collect::<Vec<_>>(),
        ),
        ("one", Select::filter("account.2"), (1..=40).filter(|one| (one - 1) % 4 == 2).collect()),
        ("some", Select::filter("account.0").or("account.1"), (1..=40).filter(|one| (one - 1) % 4 < 2).collect()),
        ("part", Select::all().after(10).up_to(20), (11..=20).collect()),
        ("none", Select::filter("card"), Vec::new()),
    ];
    for (name, select, expected) in selects {
        let (reactor, notes) = (bank.react(name, select, ReactFrom::First).await.unwrap(), Notes::new());
        let mut harness = notes.harness(&db, &clock, &reactor);
        harness.drain().await.unwrap();
        harness.drain().await.unwrap();
        assert_eq!(notes.sequences(), expected, "{name}");
    }
    assert!(bank.react("bad", "a.b.c.d", ReactFrom::First).await.is_err());
}

/// How many rows there are, and their bytes.
async fn size(db: &Database) -> (usize, usize) {
    let rows = stored(db, "").await;
    (rows.len(), rows.iter().map(|(key, value)| key.len() + value.len()).sum())
}

#[fact]
pub async fn fifty_reactors_add_no_copy_of_an_event(db: Database, clock: TestClock) {
    let bank = bank(&db).await;
    let mut builder = worker(&db);
    let mut all_notes = Vec::new();
    for number in 0..50 {
        let reactor = bank.react(&format!("reactor-{number}"), "account", ReactFrom::First).await.unwrap();
        let notes = Notes::new();
        // Of both kinds.
        builder = match number % 2 {
            0 => notes.subscribe(builder, &reactor),
            _ => {
                let (notes, number) = (notes.clone(), number);
                let handler = move |event: Event, tx: Transaction| {
                    let notes = notes.clone();
                    async move {
                        count(&tx, format!("effect:{number}:{}", event.sequence())).await?;
                        notes.note(&event)
                    }
                };
                reactor.subscribe(builder, handler)
            }
        };
        all_notes.push(notes);
    }
    let mut harness = Harness::of(builder, &clock);
    append_many(&bank, 10, 10).await;
    harness.drain().await.unwrap();
    let (effects, (rows, _)) = (stored(&db, "effect:").await.len(), size(&db).await);
    append_many(&bank, 200, 10).await;
    let (appended_rows, appended_bytes) = size(&db).await;
    harness.drain().await.unwrap();
    let (rows_after, bytes_after) = size(&db).await;
    for notes in &all_notes {
        assert_eq!(notes.sequences(), (1..=210).collect::<Vec<_>>());
    }
    // An append writes the event, the same among those of its entity, and its id.
    assert_eq!(appended_rows - rows, 3 * 200);
    // And being handled by all adds none but the effects; the positions have a digit more.
    let effects = stored(&db, "effect:").await.len() - effects;
    assert_eq!(rows_after - appended_rows, effects);
    assert!(bytes_after - appended_bytes < effects * 30 + 50 * 30, "{appended_bytes} bytes, then {bytes_after}");
}
