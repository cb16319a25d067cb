//! What is kept of topics.

use std::time::Duration;

use tito_core::prelude::*;
use tito_testkit::TestClock;
use tito_worker::GroupStart;
use tito_worker::prelude::*;

use crate::support::*;

#[fact]
pub async fn topics_are_listed_in_pages(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    for (name, partitions) in [("user", 4), ("job", 1), ("user created", 9)] {
        queue.create_topic(name, partitions).await.unwrap();
    }
    let first = queue.topics(2, None).await.unwrap();
    let rest = queue.topics(2, Some(&first[1].0)).await.unwrap();
    let all: Vec<_> = first.iter().chain(&rest).map(|(name, topic)| (name.as_str(), topic.partitions)).collect();
    assert_eq!(all, [("job", 1), ("user", 4), ("user created", 9)]);
    put(&db, "topic:bad", "{\"partitions\":0}").await;
    let names: Vec<_> = queue.topics(9, None).await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["job", "user", "user created"], "what can't be read is left out");
    let error = queue.stats("bad").await.unwrap_err();
    assert!(error.to_string().contains("topic:bad"), "{error}");
}

#[fact]
pub async fn pauses_and_history_are_kept_in_the_topic(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    turning(&clock, queue.add_group("job", "mail", GroupStart::Now)).await.unwrap();
    let topic = async || queue.topics(1, None).await.unwrap().remove(0).1;
    let paused = async || {
        let topic = topic().await;
        [topic.is_paused("job"), topic.is_paused("job@mail")]
    };
    assert_eq!(paused().await, [false, false]);
    queue.pause("job@mail").await.unwrap();
    assert_eq!(paused().await, [false, true]);
    queue.pause("job").await.unwrap();
    queue.resume("job@mail").await.unwrap();
    assert_eq!(paused().await, [true, false]);
    let revision = topic().await.revision;
    queue.pause("job").await.unwrap();
    assert_eq!(topic().await.revision, revision, "workers are not disturbed by what is so already");
    queue.resume("job").await.unwrap();
    assert_eq!(paused().await, [false, false]);

    queue.set_history("job", Some(Duration::from_millis(60_500))).await.unwrap();
    assert_eq!(topic().await.history_seconds, 61);
    queue.set_history("job", None).await.unwrap();
    assert_eq!(topic().await.history_seconds, 0);
}

#[fact]
pub async fn a_page_of_topics_is_whole_where_some_are_damaged(db: Database, _: TestClock) {
    let queue = TitoQueue::new(db.clone());
    let name = |number: u32| format!("t{number:02}");
    for number in 1..=20 {
        queue.create_topic(&name(number), 1).await.unwrap();
    }
    for damaged in [1, 11] {
        put(&db, format!("topic:{}", name(damaged)), "nonsense").await;
    }
    let names = async |after: Option<&str>| {
        let page = queue.topics(10, after).await.unwrap();
        page.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let first = names(None).await;
    let second = names(first.last().map(String::as_str)).await;
    let expected: Vec<_> = (2..=20).filter(|number| *number != 11).map(name).collect();
    assert_eq!(first.iter().chain(&second).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
}
