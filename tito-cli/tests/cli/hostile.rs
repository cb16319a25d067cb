//! Names and payloads that would move the cursor, and terminals that are narrow.

use tito_core::prelude::*;
use tito_eventstore::types::Codec;
use tito_eventstore::{EventStoreConfig, Manager, NewEvent};
use tito_worker::prelude::*;
use tito_worker::{GroupStart, RetryPolicy, Schedule, Subscription};
use unicode_width::UnicodeWidthStr as _;

use crate::support::{Closed, publish, run, tito};

const HOSTILE: &str = "user:\x1b[2J\u{9b}31m\u{202e}/../?#%&=\n\t\"'`$(x)";

async fn hostile() -> Closed {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let event = Publish::new("mail", HOSTILE).action("\x1b]0;title\x07").header("\x1b", "\x08\x08");
    publish(&db, event.payload(&HOSTILE).unwrap()).await;
    db.close().await;
    closed
}

/// Nothing but what can be seen, and the ends of lines.
#[track_caller]
fn assert_is_tame(text: &str) {
    let wild = |character: char| {
        (character.is_control() && character != '\n')
            || ('\u{202a}'..='\u{202e}').contains(&character)
            || ('\u{2066}'..='\u{2069}').contains(&character)
    };
    assert!(!text.contains(wild), "{text:?}");
}

#[tokio::test]
async fn what_a_terminal_would_obey_is_shown() {
    let closed = hostile().await;
    let list = closed.run(&["events", "list", "mail"]).said();
    assert_is_tame(&list);
    assert!(list.contains(r"user:\u{1b}[2J\u{9b}31m\u{202e}/../?#%&=\n\t"), "{list}");

    let json = closed.run(&["events", "list", "mail", "--json"]);
    assert_is_tame(&json.out);
    let json = json.json();
    let hostile = json["items"].as_array().unwrap().iter().find(|item| item["event"]["entity"] == HOSTILE).unwrap();
    let (id, due) = (hostile["event"]["id"].as_str().unwrap(), hostile["event"]["timestamp"].to_string());

    // It is found by its place, whatever is in its name.
    let shown = closed.run(&["events", "show", "mail", id, "--entity", HOSTILE, "--due", &due]).said();
    assert_is_tame(&shown);
    assert!(shown.contains(r"\u{1b}]0;title\u{7}"), "{shown}");
    closed.run(&["events", "cancel", "mail", id, "--entity", HOSTILE, "--due", &due, "--yes"]).said();
}

#[tokio::test]
async fn no_command_hands_a_terminal_what_it_would_obey() {
    // As much as a name may have: what turns the direction of a text round.
    const NAME: &str = "n\u{202e}\u{2066}'`$(x)";
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let queue = TitoQueue::new(db.clone());
    publish(&db, Publish::new(NAME, HOSTILE).owner("ada").payload(&HOSTILE).unwrap()).await;
    queue.add_group(NAME, NAME, GroupStart::Now).await.unwrap();
    let schedule = Schedule::every(NAME, std::time::Duration::from_secs(60));
    queue.put_schedule(schedule.publishes(Publish::new(NAME, HOSTILE).action("\x1b[31m"))).await.unwrap();
    let once = Subscription::default().retry(RetryPolicy::default().attempts(1));
    let worker = Worker::builder(queue)
        .schedules(false)
        .subscribe_with(NAME, once, |_: TitoEvent| async { Err::<(), _>(TitoError::application(HOSTILE)) });
    worker.build().drain().await.unwrap();
    let manager = Manager::new(db.clone());
    let store = manager.create_event_store(EventStoreConfig::new(NAME).description(HOSTILE)).await.unwrap();
    store.add_projection(&NAME.replace(['.', ':', '@'], "")).await.unwrap();
    let data = serde_json::to_string(HOSTILE).unwrap();
    let event = NewEvent::encoded("account.1", "opened", 1, Codec::Json, data).metadata("\x1b]0;", HOSTILE);
    store.append(event).await.unwrap();
    manager.close().await;
    db.close().await;
    for arguments in [
        &["topics"][..],
        &["topics", NAME],
        &["groups", "list", NAME],
        &["stats"],
        &["stats", NAME, "--partitions"],
        &["top", "--times", "1"],
        &["dead", "list", NAME],
        &["dead", "group", NAME],
        &["events", "of", NAME, HOSTILE],
        &["schedules", "list"],
        &["schedules", "show", NAME],
        &["owned", "ada"],
        &["leases", NAME],
        &["stores", "list"],
        &["stores", "show", NAME],
        &["stores", "events", NAME],
        &["stores", "projections", NAME],
        &["stores", "tail", NAME, "--after", "0", "--limit", "1"],
        &["pause", NAME, "--why", HOSTILE],
        &["operations", "start", "redrive", NAME, "--error", HOSTILE, "--why", HOSTILE],
        &["operations", "list"],
        &["stores", "events", "tito-audit"],
        &["schedules", "fire", NAME],
        &["verify"],
    ] {
        for json in [None, Some("--json")] {
            let run = closed.run(&[arguments, json.as_slice()].concat());
            assert_eq!(run.code, 0, "{arguments:?}: {run:#?}");
            assert_is_tame(&run.out);
            assert_is_tame(&run.err);
        }
    }
}

#[tokio::test]
async fn hostile_names_of_what_there_is_not_are_one_name() {
    let closed = Closed::with_events().await;
    for name in ["../topics", "mail/resize", "a?b=c", "\x1b[2J", "..", "mail\n"] {
        let run = closed.run(&["topics", name]);
        assert!([2, 3].contains(&run.code), "{run:?}");
        assert_is_tame(&run.err);
    }
}

#[tokio::test]
async fn a_narrow_terminal_is_not_overrun() {
    let closed = Closed::with_events().await;
    for columns in [1_usize, 20, 40, 80, 200] {
        for arguments in [&["stats"][..], &["events", "list", "mail"], &["dead", "list", "mail"]] {
            let columns_text = columns.to_string();
            let mut command = tito(arguments);
            let said = run(command.env("TITO_DB", closed.url()).env("COLUMNS", &columns_text)).said();
            // Below that, what can be seen of a word is nothing.
            let limit = columns.max(22);
            assert!(said.lines().all(|line| line.width() <= limit), "{columns}: {said}");
        }
    }
}

#[tokio::test]
async fn colours_are_for_terminals_and_for_who_asks() {
    let closed = Closed::with_events().await;
    assert!(!closed.run(&["topics"]).said().contains('\x1b'));
    assert!(closed.run(&["topics", "--colour", "always"]).said().contains("\x1b[1m"));
}
