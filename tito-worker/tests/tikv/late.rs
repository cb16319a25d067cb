//! Commits that are kept waiting do not land once a topic has settled without them.

use tito_testkit::TestClock;
use tito_testkit::mock_tikv::{Fault, FaultRule, Rpc};
use tito_worker::GroupStart;
use tito_worker::prelude::*;

use crate::support::*;

/// A group that is added meanwhile misses nothing: what was published without knowing of it is not committed after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_caller_is_gone_does_not_land_after_a_topic_has_settled() {
    let clock = TestClock::new();
    let cluster = four_regions_at(&clock).await;
    let db = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
    let other = builder(&cluster).clock(clock.shared()).connect().await.unwrap();
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("job", 1).await.unwrap();
    let held = cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Hang).keys("event:"));
    let unaware = db.begin().await.unwrap();
    queue.publish(Publish::new("job", "late"), &unaware).await.unwrap();
    assert!(cancelled_after(1, unaware.commit()).await.is_none());
    drop(unaware);
    eventually("the first phase is sent", || cluster.faults().injected().total() > 0).await;
    let mut adding = tokio::spawn(async move { TitoQueue::new(other).add_group("job", "mail", GroupStart::Now).await });
    // The clock goes on while it waits for the topic to settle, and stands still for all else.
    let added = loop {
        tokio::select! {
            added = &mut adding => break added.unwrap(),
            until = clock.waited_for() => clock.advance_to(until),
        }
    };
    added.unwrap();
    cluster.faults().remove(held);
    no_locks(&cluster).await;
    let events: Vec<_> = everything(&db).await.into_iter().filter(|(key, _)| key.starts_with(b"event:")).collect();
    assert_eq!(events, [], "an event that the group does not get");
}
