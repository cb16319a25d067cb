//! Many concurrent transactions that write the same keys.

use futures::future::{join_all, try_join_all};
use tito_core::{Database, Result, TitoError, TxOptions};
use tokio::runtime::Builder;

use super::replay::Runs;
use crate::conformance::Opener;
use crate::conformance::support::*;

const TASKS: u32 = 1_000;

/// Each in a task of its own, all concurrently.
async fn increment_at_once(engine: &Database, tasks: u32, runs: &Runs) -> Vec<Result<()>> {
    let tasks = (0..tasks).map(|_| {
        let (engine, runs) = (engine.clone(), runs.clone());
        let increment = move |tx| async move {
            runs.add();
            increment(&tx, "counter").await
        };
        tokio::spawn(async move { engine.transaction(increment).await })
    });
    join_all(tasks).await.into_iter().map(|task| task.unwrap()).collect()
}

#[track_caller]
fn assert_all_done(outcomes: &[Result<()>]) {
    let failed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(failed.is_empty(), "{} of {} failed, the first: {}", failed.len(), outcomes.len(), failed[0]);
}

pub async fn a_thousand_tasks_that_increment_one_key_all_do(opener: Opener) {
    let database = open(opener).await;
    let (engine, runs) = (database.database(), Runs::default());
    assert_all_done(&increment_at_once(&engine, TASKS, &runs).await);
    assert_eq!(read(&engine, "counter").await.as_deref(), Some("1000"));
    assert!(runs.count() <= 4 * TASKS, "they ran {} times", runs.count());
}

pub async fn a_thousand_tasks_of_one_thread_that_increment_one_key_all_do(opener: Opener) {
    let database = open(opener).await;
    let (engine, runs) = (database.database(), Runs::default());
    let of_one_thread = {
        let (engine, runs) = (engine.clone(), runs.clone());
        move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            // Read on that runtime as well: connections that a client opened on a runtime end with it.
            runtime.block_on(async {
                let outcomes = increment_at_once(&engine, TASKS, &runs).await;
                (outcomes, read(&engine, "counter").await)
            })
        }
    };
    let (outcomes, counted) = tokio::task::spawn_blocking(of_one_thread).await.unwrap();
    assert_all_done(&outcomes);
    assert_eq!(counted.as_deref(), Some("1000"));
    assert!(runs.count() <= 4 * TASKS, "they ran {} times", runs.count());
}

pub async fn those_that_increment_several_keys_in_any_order_all_do(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let tasks = (0..300).map(|task| {
        let engine = engine.clone();
        let increments = move |tx| async move {
            // All pairs of neighbours in a ring, in both directions.
            let (one, other) = (task % 5, (task + 1) % 5);
            let keys = if task / 5 % 2 == 0 { [one, other] } else { [other, one] };
            for key in keys {
                increment(&tx, &format!("counter-{key}")).await?;
            }
            increment(&tx, "all").await
        };
        tokio::spawn(async move { engine.transaction(increments).await })
    });
    let outcomes: Vec<_> = join_all(tasks).await.into_iter().map(|task| task.unwrap()).collect();
    assert_all_done(&outcomes);
    assert_eq!(read(&engine, "all").await.as_deref(), Some("300"));
    for key in 0..5 {
        assert_eq!(read(&engine, &format!("counter-{key}")).await.as_deref(), Some("120"));
    }
}

pub async fn a_transaction_within_one_that_has_lost_the_same_key_is_not_kept_waiting(opener: Opener) {
    let database = open(opener).await;
    let engine = database.database();
    let (outer, inner) = (Runs::default(), Runs::default());
    let outcome = engine
        .transaction_with(TxOptions::default().max_attempts(5), |tx| {
            let (engine, outer, inner) = (engine.clone(), outer.clone(), inner.clone());
            async move {
                outer.add();
                increment(&tx, "counter").await?;
                let increment = |tx| async move {
                    inner.add();
                    increment(&tx, "counter").await
                };
                engine.transaction(increment).await
            }
        })
        .await;
    // It always conflicts with its own write.
    assert!(matches!(outcome, Err(TitoError::RetriesExhausted { attempts: 5, .. })), "{outcome:?}");
    assert_eq!(outer.count(), 5);
    assert_eq!(inner.count(), 5, "the inner ones gave way to the one around them");
    assert_eq!(read(&engine, "counter").await.as_deref(), Some("5"));
}

pub async fn those_that_are_cancelled_keep_nobody_waiting(opener: Opener) {
    let database = open(opener).await;
    let (engine, runs) = (database.database(), Runs::default());
    let tasks = (0..200).map(|_| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.transaction(|tx| async move { increment(&tx, "counter").await }).await })
    });
    let tasks: Vec<_> = tasks.collect();
    tokio::task::yield_now().await;
    for task in tasks.iter().step_by(2) {
        task.abort();
    }
    let others = increment_at_once(&engine, 100, &runs);
    let (ended, others) = futures::join!(join_all(tasks), others);
    assert_all_done(&others);
    let ended: Vec<_> = ended.into_iter().filter_map(|task| task.ok()).collect();
    assert_all_done(&ended);
    // The outcome of a cancelled commit is unknown.
    let counter: usize = read(&engine, "counter").await.unwrap().parse().unwrap();
    assert!(counter >= ended.len() + 100 && counter <= 300, "{counter} of {} at least", ended.len() + 100);
}

pub async fn those_of_other_keys_go_on_beside_a_crowd(opener: Opener) {
    let database = open(opener).await;
    let (engine, runs) = (database.database(), Runs::default());
    let beside = (0..50).map(|task| {
        let engine = engine.clone();
        async move { engine.transaction(|tx| async move { increment(&tx, &format!("own-{task}")).await }).await }
    });
    let (crowd, beside) = futures::join!(increment_at_once(&engine, 100, &runs), try_join_all(beside));
    assert_all_done(&crowd);
    beside.unwrap();
}
