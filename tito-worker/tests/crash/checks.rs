//! What holds whenever the database is opened.

use std::collections::{BTreeMap, BTreeSet};

use tito_core::Transaction;
use tito_core::event::TitoEvent;
use tito_core::keys::KeyRange;
use tito_core::model::TitoSchema;
use tito_core::prelude::*;

use crate::model::{Account, Change, number};

pub async fn check(db: &Database, acknowledged: &BTreeSet<String>) {
    let tx = db.begin().await.unwrap();
    let changes = db.clone().model::<Change>().rows().all(&tx).await.unwrap();
    let accounts = db.clone().model::<Account>().rows().all(&tx).await.unwrap();

    let stored: BTreeSet<_> = changes.iter().map(|change| change.id.clone()).collect();
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged, but not there: {lost:?}");

    assert_indexes_are_exact(&tx, &changes).await;
    assert_indexes_are_exact(&tx, &accounts).await;
    assert_accounts_are_what_their_changes_made_them(&changes, &accounts);
    assert_every_change_has_its_events(&tx, &changes).await;
    tx.rollback().await;
}

/// What holds in addition once nothing is due.
pub async fn check_everything_is_handled(db: &Database) {
    let tx = db.begin().await.unwrap();
    assert_eq!(entries(&tx, "event:").await.len(), 0);
    tx.rollback().await;
}

async fn entries(tx: &Transaction, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let found = tx.scan(KeyRange::prefix(prefix), usize::MAX).await.unwrap();
    found.into_iter().map(|(key, value)| (String::from_utf8(key).unwrap(), value)).collect()
}

async fn assert_indexes_are_exact<M: TitoSchema>(tx: &Transaction, rows: &[M]) {
    let table = M::table();
    let mut expected = BTreeMap::new();
    for row in rows {
        for entry in row.index_entries().unwrap() {
            let key = String::from_utf8(entry.key(&table, &row.id())).unwrap();
            expected.insert(key, entry.value(&row.id()));
        }
    }
    assert_eq!(entries(tx, &format!("index:{table}:")).await, expected, "the index entries of {table}");
}

fn assert_accounts_are_what_their_changes_made_them(changes: &[Change], accounts: &[Account]) {
    let mut by_account: BTreeMap<&str, BTreeMap<u64, &Change>> = BTreeMap::new();
    for change in changes {
        let twin = by_account.entry(&change.account).or_default().insert(change.version, change);
        assert!(twin.is_none(), "two changes made one version: {change:?}, {twin:?}");
    }
    let mut expected = Vec::new();
    for (account, changes) in by_account {
        let versions: Vec<_> = changes.keys().copied().collect();
        assert_eq!(versions, (1..=changes.len() as u64).collect::<Vec<_>>(), "the changes of {account}");
        expected.extend(changes.values().last().unwrap().account_after.clone());
    }
    assert_eq!(accounts, expected);
}

/// Every change has its events: still stored, or done with exactly their effects. And there are no others.
async fn assert_every_change_has_its_events(tx: &Transaction, changes: &[Change]) {
    assert_eq!(entries(tx, "dead:").await.keys().collect::<Vec<_>>(), Vec::<&String>::new());
    let mut waiting: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (key, value) in entries(tx, "event:").await {
        let event = TitoEvent::decode(key.as_bytes(), &value).unwrap();
        *waiting.entry((event.event_type, event.entity)).or_default() += 1;
    }
    let mut take_waiting =
        |topic: &str, entity: &str| waiting.remove(&(topic.to_string(), entity.to_string())).unwrap_or(0);
    let mut effects = entries(tx, "effect:").await;
    let mut seen = entries(tx, "seen:").await;
    let mut handled = entries(tx, "handled:").await;

    let mut changes_of_account: BTreeMap<String, u64> = BTreeMap::new();
    for change in changes {
        let entity = format!("change:{}", change.id);
        *changes_of_account.entry(format!("account:{}", change.account)).or_default() += 1;
        let done = effects.remove(&format!("effect:{entity}")).map_or(0, |value| number(&value));
        assert_eq!(done + take_waiting("effect", &entity), 1, "effects and waiting events of {change:?}");
        let is_seen = seen.remove(&format!("seen:{entity}")).is_some();
        let waiting = take_waiting("plain", &entity);
        assert!(waiting == 1 || (waiting == 0 && is_seen), "{waiting} events, seen {is_seen}: {change:?}");
    }
    for (entity, changes) in changes_of_account {
        let done = handled.remove(&format!("handled:{entity}")).map_or(0, |value| number(&value));
        assert_eq!(done + take_waiting("account", &entity), changes, "counted and waiting events of {entity}");
    }
    assert_eq!(waiting.keys().collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "events without a change");
    assert_eq!((effects.len(), seen.len(), handled.len()), (0, 0, 0), "effects without a change");
}
