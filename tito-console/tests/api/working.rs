//! Who works: workers, fleets, their members, and their leases.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::Method;
use serde_json::json;
use tito_console::api::{Affected, Fleet, Lease, Member, Page, Worker as Shown};
use tito_core::event::TitoEvent;
use tito_worker::{Worker, WorkerReport};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{OPERATOR, READER, Served};

const PARTITIONS: u16 = 5;

/// A member of a fleet, until it is told to end.
fn member(served: &Served, name: &str) -> (oneshot::Sender<()>, JoinHandle<WorkerReport>) {
    let worker = Worker::builder(served.queue.clone())
        .subscribe("mail", |_: TitoEvent| async { Ok::<_, String>(()) })
        .join("fleet")
        .lease_time(Duration::from_secs(3))
        .member_name(name)
        .build();
    let (end, ended) = oneshot::channel::<()>();
    (end, tokio::spawn(async move { worker.run(async { _ = ended.await }).await.unwrap() }))
}

/// Lets time pass until something holds.
async fn until(served: &Served, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..100_000 {
        if holds().await {
            return;
        }
        served.clock.advance(Duration::from_millis(20));
        // What a worker does meanwhile takes the time that it takes, however fast the clock is turned.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it does not come to hold")
}

#[tokio::test]
async fn members_and_leases_are_listed_in_pages_and_a_worker_is_retired() {
    let served = Served::new().await;
    served.queue.create_topic("mail", PARTITIONS).await.unwrap();
    let (first_end, first) = member(&served, "first");
    let leases = async || served.get::<Page<Lease>>("/v1/queues/mail/leases").await.items;
    until(&served, async || leases().await.iter().filter(|lease| lease.member.is_some()).count() == 5).await;
    let mut partitions = Vec::new();
    let mut after = String::new();
    loop {
        let page: Page<Lease> = served.get(&format!("/v1/queues/mail/leases?limit=2{after}")).await;
        assert!(page.items.iter().all(|lease| lease.fleet.as_deref() == Some("fleet")), "{page:?}");
        partitions.extend(page.items.into_iter().map(|lease| lease.partition));
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    assert_eq!(partitions, (0..PARTITIONS).collect::<Vec<_>>());

    let (second_end, second) = member(&served, "second");
    // How many of the partitions it gets depends on the members' ids: all or none, too.
    let live = async || served.get::<Page<Fleet>>("/v1/fleets").await.items[0].live;
    let workers = async || served.get::<Page<Shown>>("/v1/workers").await.items.len();
    until(&served, async || live().await == 2 && workers().await == 2).await;

    let fleets: Page<Fleet> = served.get("/v1/fleets").await;
    assert_eq!((fleets.items[0].name.as_str(), fleets.items[0].live), ("fleet", 2));
    let one: Page<Member> = served.get("/v1/fleets/fleet/members?limit=1").await;
    let next = one.next.clone().unwrap();
    let other: Page<Member> = served.get(&format!("/v1/fleets/fleet/members?limit=1&after={next}")).await;
    let names: BTreeSet<_> = [&one.items[0], &other.items[0]].map(|member| member.name.clone().unwrap()).into();
    assert_eq!(names, BTreeSet::from(["first".to_string(), "second".to_string()]));
    assert!(one.items[0].is_live && one.items[0].queues.contains("mail"), "{one:?}");
    assert_eq!(served.get::<Page<Member>>("/v1/fleets/none/members").await.items, []);

    let one: Page<Shown> = served.get("/v1/workers?limit=1").await;
    let next = one.next.clone().unwrap();
    let other: Page<Shown> = served.get(&format!("/v1/workers?limit=1&after={next}")).await;
    let workers = [&one.items[0], &other.items[0]];
    let first_id = workers.iter().find(|worker| worker.name.as_deref() == Some("first")).unwrap().id;
    let path = format!("/v1/workers/{first_id}/retire");
    assert_eq!(served.refused(Method::POST, READER, &path, None).await.0, 403);
    let (status, bytes) = served.ask(Method::POST, OPERATOR, &path, Some(&json!({}))).await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_slice::<Affected>(&bytes).unwrap().affected, 1);
    until(&served, async || first.is_finished()).await;
    let is_of_another = |lease: &Lease| lease.member.is_some_and(|member| member != first_id);
    until(&served, async || leases().await.iter().filter(|lease| is_of_another(lease)).count() == 5).await;
    drop((first_end, second_end));
    until(&served, async || second.is_finished()).await;
    first.await.unwrap();
    second.await.unwrap();
}
