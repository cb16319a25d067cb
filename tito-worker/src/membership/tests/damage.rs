//! Rows that can't be read.

use uuid::Uuid;

use super::support::*;
use crate::keys;
use crate::queue::TitoQueue;

#[tokio::test]
async fn a_damaged_lease_is_claimed_anew_with_a_larger_epoch_than_ever() {
    let (db, clock) = database().await;
    create_topic(&db, "user", 4).await;
    let mut nodes = vec![Node::new(&db, 1, &["user"]), Node::new(&db, 2, &["user"])];
    settle(&mut nodes, &clock).await;
    let mut last_epoch = leases(&db, "user").await[2].epoch;
    for damage in [&b"}{"[..], b"", b"{\"member\":7,\"epoch\":1}"] {
        put(&db, keys::lease("user", 2), damage).await;
        let listed = TitoQueue::new(db.clone()).leases("user").await.unwrap();
        assert_eq!(listed.iter().map(|lease| lease.partition).collect::<Vec<_>>(), [0, 1, 3], "it is left out");
        settle(&mut nodes, &clock).await;
        owners(&db, &nodes, "user", 4).await;
        let epoch = leases(&db, "user").await[2].epoch;
        assert!(epoch > last_epoch, "{epoch} after {last_epoch}");
        last_epoch = epoch;
    }
}

#[tokio::test]
async fn a_lease_that_was_deleted_is_lost_and_claimed_anew() {
    let (db, clock) = database().await;
    create_topic(&db, "user", 4).await;
    let mut nodes = vec![Node::new(&db, 1, &["user"])];
    settle(&mut nodes, &clock).await;
    let key = keys::lease("user", 2);
    db.transaction(|tx| async move { tx.system_keys().delete(key).await }).await.unwrap();
    settle(&mut nodes, &clock).await;
    owners(&db, &nodes, "user", 4).await;
}

#[tokio::test]
async fn a_damaged_member_counts_as_dead_and_is_left_out() {
    let (db, clock) = database().await;
    create_topic(&db, "user", 8).await;
    let mut nodes = vec![Node::new(&db, 1, &["user"]), Node::new(&db, 2, &["user"])];
    settle(&mut nodes, &clock).await;
    let damaged = nodes.remove(0);
    let key = keys::member("billing", damaged.member.id);
    put(&db, key, b"{\"queues\":\"all\"}").await;
    let listed = TitoQueue::new(db.clone()).members("billing").await.unwrap();
    assert_eq!(listed.iter().map(|member| member.id).collect::<Vec<_>>(), [nodes[0].member.id], "it is left out");
    settle(&mut nodes, &clock).await;
    owners(&db, &nodes, "user", 8).await;
}

#[tokio::test]
async fn a_lease_of_a_member_that_never_was_is_free() {
    let (db, clock) = database().await;
    create_topic(&db, "user", 2).await;
    let row = format!("{{\"member\":\"{}\",\"fleet\":\"billing\",\"epoch\":41}}", Uuid::from_u128(5));
    put(&db, keys::lease("user", 1), row.as_bytes()).await;
    let mut nodes = vec![Node::new(&db, 1, &["user"])];
    settle(&mut nodes, &clock).await;
    owners(&db, &nodes, "user", 2).await;
    assert_eq!(leases(&db, "user").await[1].epoch, 42);
}

#[tokio::test]
async fn a_damaged_topic_does_not_stop_the_other_queues() {
    let (db, clock) = database().await;
    create_topic(&db, "user", 2).await;
    put(&db, keys::topic("email"), b"?").await;
    let mut nodes = vec![Node::new(&db, 1, &["email", "user"])];
    settle(&mut nodes, &clock).await;
    owners(&db, &nodes, "user", 2).await;
}
