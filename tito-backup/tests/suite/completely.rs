//! Event stores checked by what their application knows of them.

use tito_backup::{Verified, VerifyOptions, verify};
use tito_core::BoxError;
use tito_core::prelude::*;
use tito_eventstore::types::{Registry, Validator};
use tito_eventstore::{
    Event, EventStore, EventStoreConfig, Evolver, Manager, NewEvent, Retention, Snapshot, StoreCheck, TitoEventType,
    keys,
};

use crate::verifying::{number, raw, told};

#[derive(Debug, PartialEq, TitoEventType)]
#[tito(validate)]
enum Entry {
    #[tito(sample = Self::Deposited { cents: 5 })]
    Deposited { cents: u64 },
    #[tito(sample = Self::Withdrawn { cents: 5 })]
    Withdrawn { cents: u64 },
}

impl Validator for Entry {
    fn validate(&self) -> Result<(), BoxError> {
        let (Self::Deposited { cents } | Self::Withdrawn { cents }) = self;
        if *cents == 0 { Err("nothing was moved".into()) } else { Ok(()) }
    }
}

#[derive(Default)]
struct Account {
    cents: u64,
}

impl Evolver for Account {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        match event.data()? {
            Entry::Deposited { cents: 13 } => panic!("thirteen"),
            Entry::Deposited { cents } => self.cents += cents,
            Entry::Withdrawn { cents } => self.cents = self.cents.checked_sub(cents).ok_or("overdrawn")?,
        }
        Ok(())
    }

    fn as_snapshot(&mut self) -> Option<&mut dyn Snapshot> {
        Some(self)
    }
}

impl Snapshot for Account {
    fn name(&self) -> String {
        "account".to_string()
    }

    fn every(&self) -> u64 {
        0
    }

    fn save(&self) -> Result<Vec<u8>, BoxError> {
        Ok(self.cents.to_string().into_bytes())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BoxError> {
        self.cents = std::str::from_utf8(state)?.parse()?;
        Ok(())
    }
}

/// How many events there are.
struct Count(u64);

impl Evolver for Count {
    fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
        self.0 += 1;
        if self.0 > 1_000 { Err("too many".into()) } else { Ok(()) }
    }
}

fn types() -> Registry {
    Registry::builder().event::<Entry>().build().unwrap()
}

fn check() -> StoreCheck {
    StoreCheck::new("bank").types(types()).fold_each("account", Account::default).fold("*", || Count(0))
}

async fn complete(db: &Database, check: StoreCheck) -> Verified {
    verify(db, &VerifyOptions::default().store(check)).await.unwrap()
}

/// A store whose types nobody checks when something is appended.
async fn store(db: &Database) -> EventStore {
    Manager::new(db.clone()).create_event_store(EventStoreConfig::new("bank")).await.unwrap()
}

fn deposited(account: u32, cents: u64) -> NewEvent {
    NewEvent::new(format!("account.{account}"), Entry::Deposited { cents })
}

fn withdrawn(account: u32, cents: u64) -> NewEvent {
    NewEvent::new(format!("account.{account}"), Entry::Withdrawn { cents })
}

fn raw_event(account: u32, data: &str) -> NewEvent {
    NewEvent::encoded(format!("account.{account}"), "deposited", 1, tito_eventstore::types::Codec::Json, data)
}

#[fact]
pub async fn a_store_that_is_as_its_application_says_is_sound_and_complete(db: Database) {
    let bank = store(&db).await;
    for account in 0..30 {
        bank.append([deposited(account, 10), deposited(account, 5), withdrawn(account, 15)]).await.unwrap();
    }
    bank.snapshot(&mut Account::default(), "account.7").await.unwrap();
    bank.append(deposited(7, 1)).await.unwrap();
    bank.erase("account.9").await.unwrap();
    bank.append(deposited(31, 1)).await.unwrap();
    bank.append(NewEvent::new("other.1", Entry::Deposited { cents: 1 })).await.unwrap();

    let structural = verify(&db, &VerifyOptions::default()).await.unwrap();
    assert!(structural.is_sound() && !structural.is_complete());
    assert_eq!(
        (structural.stores_without_types.as_slice(), structural.stores.len()),
        (["bank".to_string()].as_slice(), 0)
    );

    let verified = complete(&db, check()).await;
    assert_eq!(told(&verified), Vec::<String>::new());
    assert!(verified.is_sound() && verified.is_complete(), "{verified:?}");
    let report = &verified.stores[0];
    assert!(report.are_types_checked && report.types_not_folded.is_empty(), "{report:?}");
    // 30 accounts of 31, and the one model of them all.
    assert_eq!((report.events, report.folded, report.cut_off, report.snapshots), (93, 31, 0, 1), "{report:?}");

    let only_accounts = StoreCheck::new("bank").fold_each("account", Account::default);
    let verified = complete(&db, only_accounts.clone()).await;
    assert!(verified.is_sound() && !verified.is_complete(), "without types it is not complete");
    assert_eq!(verified.stores[0].types_not_folded, ["other"]);
    let elsewhere = complete(&db, StoreCheck::new("elsewhere")).await;
    assert!(elsewhere.is_sound() && elsewhere.stores.is_empty());
}

/// By its form each of these is an event.
#[fact]
pub async fn data_that_no_type_reads_and_models_that_do_not_fold_are_listed_with_sequence_and_entity(db: Database) {
    let bank = store(&db).await;
    bank.append([deposited(1, 10), raw_event(1, "{\"cents\":\"ten\"}"), deposited(1, 5)]).await.unwrap();
    bank.append(raw_event(2, "{\"cents\":0}")).await.unwrap();
    bank.append(NewEvent::raw("account.3", "renamed", "x")).await.unwrap();
    bank.append([deposited(4, 10), withdrawn(4, 11), withdrawn(4, 12)]).await.unwrap();
    bank.append(deposited(5, 13)).await.unwrap();
    bank.append([deposited(6, 1), withdrawn(6, 1)]).await.unwrap();
    assert!(verify(&db, &VerifyOptions::default()).await.unwrap().is_sound());

    let verified = complete(&db, check()).await;
    assert!(!verified.is_sound() && verified.is_complete());
    let number = number(&db).await;
    let at = |sequence| String::from_utf8(keys::log_event(number, sequence)).unwrap();
    let expected = [
        (2, "\"deposited\" of \"account.1\"", "invalid type"),
        (4, "\"deposited\" of \"account.2\"", "nothing was moved"),
        (5, "\"renamed\" of \"account.3\"", "renamed"),
        (2, "Account can't be folded by event 2 of \"account.1\"", "invalid type"),
        (5, "Account can't be folded by event 5 of \"account.3\"", "no such event"),
        (7, "Account can't be folded by event 7 of \"account.4\"", "overdrawn"),
        (9, "Account can't be folded by event 9 of \"account.5\"", "it panicked: thirteen"),
    ];
    let told = told(&verified);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (sequence, what, why)) in told.iter().zip(expected) {
        assert!(told.starts_with(&at(sequence)) && told.contains(what) && told.contains(why), "{told}");
    }
    assert_eq!((verified.total, verified.stores[0].faults), (7, 7));
    // Of accounts 2 and 6, and of all of them.
    assert_eq!(verified.stores[0].folded, 3);
}

#[fact]
pub async fn a_snapshot_that_the_events_do_not_fold_into_is_deleted_by_a_repair_unless_it_is_needed(db: Database) {
    let bank = store(&db).await;
    for account in [1, 2, 3] {
        bank.append([deposited(account, 10), deposited(account, 5)]).await.unwrap();
        bank.snapshot(&mut Account::default(), format!("account.{account}")).await.unwrap();
        bank.append(deposited(account, 1)).await.unwrap();
    }
    let before = raw(&db).await;
    let snapshots: Vec<String> = before.keys().filter(|key| key.contains(":snapshot:")).cloned().collect();
    assert_eq!(snapshots.len(), 3);
    let alter = async |key: &String, state: &[u8]| {
        let (key, mut value) = (key.clone().into_bytes(), before[key][..12].to_vec());
        value.extend_from_slice(state);
        db.transaction(|tx| async move { tx.system_keys().put(key, value).await }).await.unwrap();
    };
    alter(&snapshots[0], b"16").await;
    alter(&snapshots[1], b"fifteen").await;
    // The same in other bytes.
    alter(&snapshots[2], b"015").await;

    let found = complete(&db, check()).await;
    let found = told(&found);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with(&snapshots[0]) && found[0].contains("up to sequence 2"), "{found:?}");
    assert!(found[1].starts_with(&snapshots[1]) && found[1].contains("it can't be restored"), "{found:?}");
    let mended = verify(&db, &VerifyOptions::default().store(check()).repair()).await.unwrap();
    assert_eq!((mended.total, mended.repaired), (2, 2));
    assert!(complete(&db, check()).await.is_sound());
    let left: Vec<String> = raw(&db).await.into_keys().filter(|key| key.contains(":snapshot:")).collect();
    assert_eq!(left, snapshots[2..]);
    let mut account = Account::default();
    bank.evolve(&mut account, "account.1").await.unwrap();
    assert_eq!(account.cents, 16);

    // What it stands in for is gone, so it is what the model begins with.
    let manager = Manager::new(db.clone());
    let keeps = EventStoreConfig::new("bank").retention(Retention::default().events(1));
    manager.update_event_store(keeps).await.unwrap();
    manager.sweep().await.unwrap();
    let cut_off = verify(&db, &VerifyOptions::default().store(check()).repair()).await.unwrap();
    let report = &cut_off.stores[0];
    assert!(cut_off.is_sound() && report.events == 1, "{cut_off:?}");
    alter(&snapshots[2], b"fifteen").await;
    let needed = verify(&db, &VerifyOptions::default().store(check()).repair()).await.unwrap();
    assert_eq!((needed.total, needed.repaired, needed.stores[0].cut_off), (1, 0, 1), "{needed:?}");
    assert_eq!(raw(&db).await.into_keys().filter(|key| key.contains(":snapshot:")).count(), 1);
}

/// More than a page of each.
#[fact]
pub async fn stores_of_many_pages_are_checked_at_the_pace_that_was_asked_for(db: Database) {
    let bank = store(&db).await;
    for round in 0..3 {
        let events: Vec<_> = (0..500).map(|number| deposited(number % 7, 20 + round)).collect();
        bank.append(events).await.unwrap();
    }
    bank.append(raw_event(3, "{\"cents\":0}")).await.unwrap();
    let check = StoreCheck::new("bank").types(types()).fold_each("account", Account::default);
    let paced = VerifyOptions::default().store(check).bytes_per_second(64 << 20);
    let verified = verify(&db, &paced).await.unwrap();
    assert_eq!((verified.total, verified.stores[0].events, verified.stores[0].folded), (1, 1_501, 7));
}
