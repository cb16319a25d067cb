//! What a commit reported, checked against the store.
use tito_mock_tikv::MockCluster;
use tito_tikv::{Outcome, Timestamp};

use crate::support::{client, quiet};

/// The keys of the transactions whose outcomes are checked, which write `v` to each.
pub(crate) const KEYS: [&str; 3] = ["a", "b", "c"];

/// Panics if the transaction is torn, is not what was reported, or leaves locks behind. Another one may have overwritten
/// some of its keys: `overwritten` is that one's commit.
///
/// Whatever hangs or comes late has to be done by now.
pub(crate) async fn check(cluster: &MockCluster, outcome: &Outcome, overwritten: Option<Timestamp>, about: &str) {
    let fresh = client(cluster).await;
    let written = async |at: Timestamp| {
        let found = fresh.snapshot(at).batch_get(KEYS).await.unwrap();
        found.iter().filter(|(_, value)| value == b"v").count()
    };
    // Whoever meets a lock that was left, as a refused rollback leaves it, takes it away.
    let mut found = written(fresh.timestamp().await.unwrap()).await;
    if let Some(at) = overwritten {
        found = found.max(written(Timestamp::from_raw(at.raw() - 1)).await);
    }
    match outcome {
        Outcome::Committed(at) => {
            assert_eq!(found, 3, "committed, and not all there: {about}");
            assert_eq!(written(*at).await, 3, "not there at its timestamp: {about}");
            assert_eq!(written(Timestamp::from_raw(at.raw() - 1)).await, 0, "there before its timestamp: {about}");
        }
        Outcome::NotCommitted(_) => assert_eq!(found, 0, "not committed, and there: {about}"),
        Outcome::Unknown(_) => assert!(found == 0 || found == 3, "torn, {found} keys are there: {about}"),
    }
    quiet().await;
    assert!(cluster.locks().is_empty(), "locks are left: {about}");
}
