//! On a cluster.

use tito_core::Transaction;
use tito_core::prelude::*;
use tito_testkit::on_mock_cluster;
use tito_worker::prelude::*;

use crate::support::{Closed, Run, fill, run, tito};

async fn ask(url: &str, arguments: &[&str]) -> Run {
    let mut command = tito(arguments);
    command.env("TITO_DB", url);
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
}

/// Due events, of which more than a program counts that only looks.
async fn many_are_due(queue: &TitoQueue, topic: &str) {
    queue.create_topic(topic, 2).await.unwrap();
    queue.pause(topic).await.unwrap();
    for _ in 0..3 {
        let publishing = |tx: Transaction| {
            let (queue, topic) = (queue.clone(), topic.to_string());
            async move {
                for number in 0..150 {
                    queue.publish(Publish::new(&*topic, format!("user:{number}")), &tx).await?;
                }
                Ok(())
            }
        };
        queue.engine.transaction(publishing).await.unwrap();
    }
}

/// Workers count what is due while somebody looks, which a command says that only looks.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_on_a_cluster_is_counted_by_its_workers() {
    let temporary = on_mock_cluster().await.unwrap();
    let db = temporary.database();
    let queue = TitoQueue::new(db.clone());
    for topic in ["mail", "audit"] {
        many_are_due(&queue, topic).await;
    }
    let url = format!("tikv://{}", temporary.cluster().pd_endpoints().join(","));
    let alone = ask(&url, &["stats", "mail"]).await;
    assert!(alone.err.contains("no live worker serves it"), "{alone:?}");
    assert!(alone.said().contains("200+"));
    let looked = queue.engine.transaction(|tx| async move { tx.get(b"!looked:mail").await }).await.unwrap();
    assert!(looked.is_some(), "workers would know that somebody looks");

    let worker = Worker::builder(queue.clone()).subscribe("mail", |_: TitoEvent| async { Ok::<_, TitoError>(()) });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = worker.build();
    let running = tokio::spawn(async move { worker.run(async { drop(stopped.await) }).await });
    // It says that it is there within seconds.
    while ask(&url, &["workers", "--json"]).await.json()["items"].as_array().unwrap().is_empty() {}
    // As long as it takes: the machine may be busy.
    let counted = ask(&url, &["stats", "--wait", "300s", "--json"]).await.json();
    let of = |name: &str| {
        let mut items = counted["items"].as_array().unwrap().iter();
        items.find(|item| item["queue"] == name).unwrap().clone()
    };
    let (mail, audit) = (of("mail"), of("audit"));
    assert_eq!((&mail["backlog"]["count"], &mail["backlog"]["at_least"]), (&450.into(), &false.into()), "{counted}");
    assert_eq!(mail["backlog"]["by_owners"], true, "{counted}");
    assert!(mail["backlog"]["as_of"].as_i64() <= mail["counted_at"].as_i64(), "{counted}");
    // Of the other nobody serves anything, so it is not waited for.
    assert_eq!((&audit["backlog"]["at_least"], &audit["backlog"]["by_owners"]), (&true.into(), &false.into()));
    let top = ask(&url, &["top", "--times", "2", "--every", "100ms"]).await.said();
    assert!(top.contains("450") && top.contains("DUE COUNTED"), "{top}");
    drop(stop);
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_looked_at_operated_and_backed_up() {
    let temporary = on_mock_cluster().await.unwrap();
    fill(temporary.database()).await;
    let url = format!("tikv://{}", temporary.cluster().pd_endpoints().join(","));
    assert!(ask(&url, &["topics"]).await.said().contains("mail"));
    assert_eq!(ask(&url, &["stats", "mail", "--json"]).await.json()["items"][0]["total"]["dead"], 1);
    ask(&url, &["dead", "redrive", "mail", "--all"]).await.said();
    ask(&url, &["events", "publish", "mail", "user:new"]).await.said();
    ask(&format!("{url}/none/"), &["topics"]).await.failed(3);

    let closed = Closed::with_events().await;
    let file = closed.beside("backup.tito");
    ask(&url, &["backup", file.to_str().unwrap()]).await.said();
    let restored = format!("file:{}", closed.beside("restored").display());
    ask(&restored, &["restore", file.to_str().unwrap()]).await.said();
    assert!(ask(&restored, &["events", "list", "mail"]).await.said().contains("user:new"));
    ask(&url, &["copy", &restored, &format!("{url}/copy/")]).await.said();
    assert!(ask(&format!("{url}/copy/"), &["topics"]).await.said().contains("audit"));
    ask(&url, &["verify"]).await.said();
}
