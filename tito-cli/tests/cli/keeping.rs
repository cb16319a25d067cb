//! How much is kept.

use std::time::Duration;

use tito_core::prelude::*;
use tito_worker::prelude::*;

use crate::support::{Closed, publish};

#[tokio::test]
async fn how_much_is_kept_is_shown_and_set() {
    let closed = Closed::with_events().await;
    let shown = closed.run(&["keep", "mail"]).said();
    assert!(shown.contains("deleted at once") && shown.contains("until purged"), "{shown}");
    // More than before deletes nothing, so nobody has to say yes.
    let set = ["keep", "mail", "--history", "7d", "--history-events", "1000", "--dead", "90d", "--why", "an audit"];
    let said = closed.run(&set).said();
    for text in ["for 7d", "the newest 1000", "for 90d", "any number"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    // What is not said stays as it is.
    let set = closed.run(&["keep", "mail", "--dead-events", "50", "--json"]).json();
    let kept =
        ["history_seconds", "history_events", "dead_letter_seconds", "dead_letter_events"].map(|name| &set[name]);
    assert_eq!(kept, [604_800, 1_000, 7_776_000, 50], "{set}");
    let set = closed.run(&["keep", "mail", "--history-events", "any", "--dead", "ever", "--json"]).json();
    let kept =
        ["history_seconds", "history_events", "dead_letter_seconds", "dead_letter_events"].map(|name| &set[name]);
    assert_eq!(kept, [604_800, 0, 0, 50], "{set}");
    let noted = closed.run(&["stores", "events", "tito-audit", "--json"]).json();
    assert_eq!(
        (&noted["items"][0]["data"]["what"], &noted["items"][0]["data"]["why"]),
        (&"keep".into(), &"an audit".into())
    );
    closed.run(&["keep", "mial"]).failed(3);
    closed.run(&["keep", "mial", "--dead", "1d"]).failed(3);
    assert!(closed.run(&["topics"]).said().lines().count() == 3, "none was created");
    for wrong in [&["--history", "0s"][..], &["--history", "1"], &["--dead-events", "0"], &["--dry-run"]] {
        closed.run(&[&["keep", "mail"], wrong].concat()).failed(2);
    }
}

#[tokio::test]
async fn what_is_no_longer_kept_is_counted_and_asked_for() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    let queue = TitoQueue::new(db.clone());
    queue.set_history("audit", Some(Duration::from_secs(86_400))).await.unwrap();
    publish(&db, Publish::new("audit", "user:grace")).await;
    let worker = Worker::builder(queue).subscribe("audit", |_: TitoEvent| async { Ok::<_, TitoError>(()) });
    worker.build().drain().await.unwrap();
    db.close().await;
    let less = ["keep", "audit", "--history", "no"];
    let refused = closed.run(&less).failed(7);
    assert!(refused.contains("2 finished events and dead letters of audit"), "{refused}");
    let rehearsed = closed.run(&[&less[..], &["--dry-run"]].concat()).said();
    assert!(rehearsed.contains("2 finished events") && rehearsed.contains("nothing was done"), "{rehearsed}");
    assert_eq!(closed.run(&["history", "audit", "--json"]).json()["items"].as_array().unwrap().len(), 2);
    assert!(closed.run(&[&less[..], &["--yes"]].concat()).said().contains("deleted at once"));
    // Less, but nothing that there is.
    closed.run(&["keep", "audit", "--dead", "30d"]).said();
}
