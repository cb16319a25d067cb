//! A fleet that is upgraded one process by one: both engines raise the same counters, and no step is lost.

use futures::future::join_all;
use tito_core::{Database, TitoError};
use tito_test_engines::mock_tikv::MockCluster;

use crate::support::*;

const COUNTERS: [&str; 3] = ["apple", "melon", "tomato"];

async fn raise(db: &Database, counter: &str) -> Result<(), TitoError> {
    db.transaction(|tx| async move {
        let value = tx.get(counter.as_bytes()).await?.unwrap_or_default();
        // All of them are written, so that each transaction has the locks of three regions.
        for other in COUNTERS.iter().filter(|other| **other != counter) {
            tx.lock_keys(vec![other.as_bytes().to_vec()]).await?;
        }
        tx.put(counter.as_bytes().to_vec(), [value, vec![b'|']].concat()).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_that_both_raise_sum_up() {
    // Those who meet wait for each other most of the time.
    join_all([[false, false], [true, false], [true, true]].map(|pessimistic| async move {
        let builder = MockCluster::builder().split_default_keyspace(false).stores(3).split_at(["g", "p"]);
        let cluster = builder.start().await.unwrap();
        let mut tasks = Vec::new();
        for (kind, pessimistic) in KINDS.into_iter().zip(pessimistic) {
            let db = connect(kind, &cluster, None, pessimistic).await;
            for task in 0..3 {
                let db = db.clone();
                tasks.push(tokio::spawn(async move {
                    let mut done = 0;
                    for turn in 0..8 {
                        match raise(&db, COUNTERS[(task + turn) % 3]).await {
                            Ok(()) => done += 1,
                            // Those who meet all the time give up in the end, and have done nothing.
                            Err(TitoError::RetriesExhausted { .. }) => {}
                            Err(error) => panic!("{kind:?}: {error:?}"),
                        }
                    }
                    done
                }));
            }
        }
        let mut done = 0;
        for task in tasks {
            done += in_time("the counters", task).await.unwrap();
        }
        for kind in KINDS {
            let tx = connect(kind, &cluster, None, false).await.begin().await.unwrap();
            let mut found = 0;
            for counter in COUNTERS {
                found += tx.get(counter.as_bytes()).await.unwrap().unwrap_or_default().len();
            }
            assert_eq!(found, done, "read by {kind:?}, pessimistic: {pessimistic:?}");
        }
    }))
    .await;
}
