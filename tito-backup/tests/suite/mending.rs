//! What is wrong is mended where a rule says how.

use std::collections::BTreeMap;

use tito_backup::{VerifyOptions, verify};
use tito_core::event::Topic;
use tito_core::keys;
use tito_core::prelude::*;
use tito_testkit::TestClock;
use uuid::Uuid;

use crate::support::*;
use crate::verifying::{ID, append, delete, event, number, options, raw, store, told, used};

#[fact]
pub async fn what_a_rule_can_mend_is_mended_and_nothing_else(db: Database, clock: TestClock) {
    used(&db, &clock).await;
    let before = raw(&db).await;
    let expected = keys::partition_of("a", 5);
    let at = |partition: u16| format!("event:user:{partition:04}:1700000000:{ID}");
    let other = (expected + 1) % 5;
    put(
        &db,
        &[
            ("index:user:by_email:gone!", "gone"),
            ("index:user:by_age:p017:gone", ""),
            (&format!("process:{ID}"), "{"),
            (&at(other), &event("user", "a")),
            ("data:user:bad", "{"),
        ],
    )
    .await;
    let id = format!("log:{:016x}:id:", number(&db).await);
    let beside: Vec<String> = before.keys().filter(|key| key.starts_with(&id)).take(2).cloned().collect();
    let copy = before.keys().find(|key| key.contains(":entity:account:1:")).unwrap();
    for key in beside.iter().chain([copy]) {
        delete(&db, key.clone().into_bytes()).await;
    }
    let looked = verify(&db, &options()).await.unwrap();
    assert_eq!((looked.total, looked.repaired), (8, 0), "{:?}", told(&looked));
    let mended = verify(&db, &options().repair()).await.unwrap();
    assert_eq!((mended.total, mended.repaired), (8, 7), "{:?}", told(&mended));
    let left = verify(&db, &options()).await.unwrap();
    assert_eq!(told(&left).len(), 1, "{:?}", told(&left));
    assert!(told(&left)[0].starts_with("data:user:bad"));

    let mut after = raw(&db).await;
    assert_eq!(after.remove("data:user:bad").unwrap(), b"{");
    assert_eq!(after.remove(&at(expected)).unwrap(), event("user", "a").into_bytes());
    let note = String::from_utf8(tito_worker::keys::moved_event("user", ID.parse::<Uuid>().unwrap())).unwrap();
    assert_eq!(
        after.remove(&note).unwrap(),
        format!("{{\"partition\":{expected},\"second\":1700000000}}").into_bytes()
    );
    // Workers are told of the event that was moved.
    let topic = |rows: &mut BTreeMap<String, Vec<u8>>| {
        Topic::decode(b"topic:user", &rows.remove("topic:user").unwrap()).unwrap()
    };
    let mut before = before;
    let topic_before = topic(&mut before);
    assert_eq!(topic(&mut after), Topic { revision: topic_before.revision + 1, ..topic_before });
    assert_eq!(after, before);
}

/// What changes between the snapshot and the repair is not mended by what the snapshot says.
#[fact]
pub async fn a_repair_goes_by_what_is_there_by_now(db: Database, clock: TestClock) {
    let bank = store(&db).await;
    append(&bank, 3).await;
    let id_of_first = raw(&db).await.into_iter().find(|(key, value)| key.contains(":id:") && value == b"1").unwrap().0;
    delete(&db, id_of_first.clone().into_bytes()).await;
    let (entity, before, after) = (0..)
        .map(|number| format!("e{number}"))
        .map(|entity| (entity.clone(), keys::partition_of(&entity, 4), keys::partition_of(&entity, 7)))
        .find(|(_, before, after)| before != after)
        .unwrap();
    let neither = (0..4).find(|partition| ![before, after].contains(partition)).unwrap();
    let second_id = ID.replace("7000", "7001");
    let at = |partition: u16, id: &str| format!("event:job:{partition:04}:1700000000:{id}");
    let (first, second) = (event("job", &entity), event("job", &entity).replace(ID, &second_id));
    put(
        &db,
        &[
            // More than a page.
            ("a1", &"x".repeat(700_000)),
            ("a2", &"x".repeat(700_000)),
            ("topic:job", "{\"partitions\":4,\"revision\":1}"),
            (&at(neither, ID), &first),
            (&at(after, &second_id), &second),
            ("index:user:by_email:gone!", "gone"),
        ],
    )
    .await;

    let told = std::sync::Arc::new(tokio::sync::Notify::new());
    let tell = told.clone();
    let options = options().repair().bytes_per_second(1 << 20).on_progress(move |_| tell.notify_one());
    let mut verifying = std::pin::pin!(verify(&db, &options));
    tokio::select! {
        biased;
        verified = &mut verifying => panic!("it does not wait after the first page: {verified:?}"),
        () = told.notified() => {}
    }
    put(
        &db,
        &[
            ("topic:job", "{\"partitions\":7,\"revision\":2}"),
            ("index:user:by_email:gone!", "new"),
            ("data:user:new", "{\"id\":\"new\"}"),
        ],
    )
    .await;
    assert_eq!(bank.erase("account.0").await.unwrap().events, 1);
    let verified = turning(&clock, verifying).await.unwrap();
    assert_eq!(verified.total, 4, "{verified:?}");

    let rows = raw(&db).await;
    assert_eq!(rows["index:user:by_email:gone!"], b"new", "it is of another row now");
    assert!(!rows.contains_key(&id_of_first), "the event was erased");
    assert_eq!(rows.get(&at(after, ID)), Some(&first.into_bytes()), "moved where it belongs by now");
    assert_eq!(rows.get(&at(after, &second_id)), Some(&second.into_bytes()), "it lies where it belongs by now");
    assert_eq!(rows["topic:job"], b"{\"partitions\":7,\"revision\":3}", "workers are told");
    assert_eq!(verified.repaired, 1, "{verified:?}");
    assert!(verify(&db, &VerifyOptions::default()).await.unwrap().is_sound());
}
