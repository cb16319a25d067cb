//! What workers promise, on every engine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[macro_use]
extern crate tito_testkit;

mod advancing;
mod backlogs;
mod batches;
mod cancelling;
mod causing;
mod changes_at_random;
mod clocks;
mod closing;
mod damaged;
mod dead_letters;
mod deaths;
mod design_programs;
mod draining;
mod effects;
mod erasing;
mod explaining;
mod failing;
mod fleets;
mod floats;
mod groups;
mod handlers;
mod history;
mod idling;
mod inspection;
mod jobs;
mod keeping_order;
mod later_versions;
mod limits;
mod living;
mod locating;
mod missing_topics;
mod observing;
mod operations;
mod ordering;
mod overriding;
mod overtaken;
mod own_queue;
mod ownership;
mod panicking;
mod policies;
mod progress;
mod recorder;
mod refusing;
mod registering;
mod reindexing;
mod resizing;
mod retention;
mod schedules;
mod scheduling;
mod seeing;
mod settling;
mod strict;
mod support;
mod sweeping;
mod topics;
mod unique;

/// Needs a thread beside the one that is blocked, so it is not one of the facts above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_does_not_keep_a_worker_from_ending() {
    use tito_worker::prelude::*;

    let db = tito_testkit::in_memory().await.unwrap();
    support::publish(&db, [support::job("a")]).await;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let worker = Worker::builder(TitoQueue::new(db))
        .subscribe("job", move |_: tito_core::event::TitoEvent| {
            let (begin, released) = (begin.clone(), released.clone());
            async move {
                begin.send(()).unwrap();
                let _ = released.lock().unwrap().recv();
                support::Done::Ok(())
            }
        })
        .shutdown_timeout(std::time::Duration::from_millis(1))
        .build();
    let report = worker.run(async move { begun.recv().await.unwrap() }).await.unwrap();
    assert_eq!((report.done, report.unfinished), (0, 1));
    drop(release);
}
