//! What a database on a cluster says of itself.

use tito_core::engine::Limits;
use tito_core::keys::{self, KeyRange};
use tito_core::prelude::*;
use tito_test_engines::mock_tikv::{Fault, FaultRule, MockCluster, Rpc};

use crate::support::*;

async fn under(cluster: &MockCluster, prefix: &str) -> Result<Database, TitoError> {
    builder(cluster).key_prefix(prefix).connect().await
}

#[tokio::test]
async fn a_database_keeps_its_identity_and_two_on_one_cluster_have_two() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let identity = async |prefix| under(&cluster, prefix).await.unwrap().identity().unwrap().clone();
    let [one, other] = [identity("one/").await, identity("other/").await];
    assert_ne!(one.id, other.id);
    assert_eq!(one.format, 1);
    assert_eq!(identity("one/").await, one);
}

/// Each of many that connect at once to an empty cluster gets the same answer.
#[tokio::test]
async fn those_who_connect_first_at_the_same_time_agree() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let connected = futures::future::join_all((0..8).map(|_| under(&cluster, "one/"))).await;
    let mut ids: Vec<_> = connected.into_iter().map(|db| db.unwrap().identity().unwrap().id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn an_identity_whose_commit_was_not_answered_is_found() {
    let cluster = MockCluster::builder().start().await.unwrap();
    cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::DropResponse).first(1));
    let first = under(&cluster, "one/").await.unwrap();
    let second = under(&cluster, "one/").await.unwrap();
    assert_eq!(first.identity(), second.identity());
}

/// Also where the application allows no key as long as the row's.
#[tokio::test]
async fn the_row_is_none_of_the_applications() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let limits = Limits { key_bytes: 4, ..Limits::default() };
    let db = builder(&cluster).key_prefix("one/").limits(limits).connect().await.unwrap();
    for key in ["\u{1}", "a", "z"] {
        db.transaction(|tx| async move { tx.put(key.as_bytes().to_vec(), b"1".to_vec()).await }).await.unwrap();
    }
    let tx = db.begin().await.unwrap();
    for limit in 1..=4 {
        let all: Vec<_> = ["\u{1}", "a", "z"].into_iter().map(|key| (key.as_bytes().to_vec(), b"1".to_vec())).collect();
        let found = tx.scan(KeyRange::prefix(""), limit).await.unwrap();
        assert_eq!(found, all[..limit.min(3)], "{limit} rows");
        let reversed: Vec<_> = all.iter().rev().take(limit).cloned().collect();
        assert_eq!(tx.scan_reverse(KeyRange::prefix(""), limit).await.unwrap(), reversed, "{limit} rows");
    }
}

#[tokio::test]
async fn a_program_that_is_too_old_says_so_and_changes_nothing() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let db = under(&cluster, "one/").await.unwrap();
    let newer = br#"{"format":2,"of":"later"}"#.to_vec();
    db.transaction(|tx| {
        let newer = newer.clone();
        async move { tx.system_keys().put(keys::database_identity(), newer).await }
    })
    .await
    .unwrap();
    let error = under(&cluster, "one/").await.unwrap_err();
    assert!(matches!(error, TitoError::NewerFormat { found: 2, known: 1 }), "{error:?}");
    assert!(error.to_string().contains("later version of Tito"), "{error}");
    let tx = db.begin().await.unwrap();
    assert_eq!(tx.get(&keys::database_identity()).await.unwrap(), Some(newer));
}

#[tokio::test]
async fn a_database_that_is_opened_to_be_read_is_neither_made_nor_changed() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let url = format!("tikv://{}/one/", cluster.pd_endpoints().join(","));
    let nowhere = Database::open_read_only(&url).await;
    assert!(matches!(nowhere, Err(TitoError::NoDatabase { .. })), "{nowhere:?}");
    let db = under(&cluster, "one/").await.unwrap();
    db.transaction(|tx| async move { tx.put(b"a".to_vec(), b"1".to_vec()).await }).await.unwrap();
    let reader = Database::open_read_only(&url).await.unwrap();
    assert_eq!(reader.begin().await.unwrap().get(b"a").await.unwrap(), Some(b"1".to_vec()));
    let written = reader.transaction(|tx| async move { tx.put(b"a".to_vec(), b"2".to_vec()).await }).await;
    assert!(matches!(written, Err(TitoError::ReadOnly { .. })), "{written:?}");
    assert_eq!(db.begin().await.unwrap().get(b"a").await.unwrap(), Some(b"1".to_vec()));
}
