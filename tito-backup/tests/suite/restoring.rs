//! A backup is restored as it was, under an identity of its own, with everything paused.

use std::time::Duration;

use tito_backup::{BackupError, BackupOptions, Place, backup, check, restore, resume};
use tito_core::event::TitoEvent;
use tito_core::keys;
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;
use tito_worker::{EventFilter, GroupStart, Operation, OperationState, OperationTask, Operator, Publish, Schedule};

use crate::support::*;

#[fact]
pub async fn everything_of_one_moment_is_restored_and_nothing_later(db: Database) {
    put(&db, &[("a", "1"), ("b", "1"), ("data:user:ada", "{\"id\":\"ada\"}"), ("index:user:by_x:p017:ada", "")]).await;
    let before = all(&db).await;
    let (bytes, totals) = backed_up(&db, 20).await;
    put(&db, &[("a", "2"), ("c", "2")]).await;
    assert_eq!((totals.entries, totals.blocks), (4, 3));
    assert_eq!(totals.header.database, db.identity().unwrap().id);
    assert_eq!(check(&bytes[..]).await.unwrap(), totals);

    let target = tempfile::tempdir().unwrap();
    let filled = restore(&bytes[..], &Place::directory(target.path())).await.unwrap();
    assert_eq!((filled.entries, filled.left_out, filled.resumed_after), (4, 0, 0));
    let restored = open(target.path()).await;
    assert_eq!(all(&restored).await, before);
    assert_eq!(restored.identity().unwrap().id, filled.database);
    assert_ne!(filled.database, totals.header.database, "it is another database");
    assert!(restored.timestamp().await.unwrap() > totals.header.timestamp());
}

#[fact]
pub async fn an_empty_database_is_backed_up_and_restored(db: Database) {
    let (bytes, totals) = backed_up(&db, 1 << 20).await;
    assert_eq!((totals.entries, totals.blocks, totals.bytes), (0, 0, 0));
    let target = tempfile::tempdir().unwrap();
    restore(&bytes[..], &Place::directory(target.path())).await.unwrap();
    assert_eq!(all(&open(target.path()).await).await, Rows::new());
}

/// Also where the clock is far behind what it was for the backup.
#[tokio::test]
async fn timestamps_go_on_after_the_backups_through_closing() {
    let clock = TestClock::new();
    let settings = tito_testkit::EngineSettings::default().test_clock(&clock);
    let db = tito_testkit::in_memory_with(settings).await.unwrap();
    clock.advance(Duration::from_secs(100 * 365 * 86_400));
    put(&db, &[("a", "1")]).await;
    let (bytes, totals) = backed_up(&db, 1 << 20).await;
    let target = tempfile::tempdir().unwrap();
    restore(&bytes[..], &Place::directory(target.path())).await.unwrap();
    for _ in 0..2 {
        let restored = open(target.path()).await;
        assert!(restored.timestamp().await.unwrap() > totals.header.timestamp());
        restored.close().await;
    }
}

#[fact]
pub async fn members_leases_marks_and_checkpoints_stay_behind(db: Database) {
    let id = "018bcfe5-6800-7000-8000-000000000000";
    let of_workers = [
        (format!("member:fleet:{id}"), "{}"),
        (format!("process:{id}"), "{}"),
        ("lease:job:0001".to_string(), "{}"),
        ("checkpoint:job:0001".to_string(), "{}"),
    ];
    let rows: Vec<_> = of_workers.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    put(&db, &rows).await;
    put(&db, &[("members", "mine"), ("txn:paid", "{\"started\":1}")]).await;
    let (bytes, _) = backed_up(&db, 1 << 20).await;
    let target = tempfile::tempdir().unwrap();
    let filled = restore(&bytes[..], &Place::directory(target.path())).await.unwrap();
    assert_eq!((filled.entries, filled.left_out), (6, 4));
    let restored = all(&open(target.path()).await).await;
    assert_eq!(restored.keys().collect::<Vec<_>>(), ["members", "txn:paid"]);
}

fn job(topic: &str) -> Publish {
    Publish::new(topic, "system")
}

async fn handled(db: &Database, clock: &TestClock, topic: &'static str) -> usize {
    let nothing = |_: TitoEvent| async { Ok::<_, TitoError>(()) };
    Harness::new(db, clock).subscribe(topic, nothing).drain().await.unwrap().len()
}

#[fact]
pub async fn queues_and_schedules_are_paused_until_they_are_resumed(db: Database, clock: TestClock) {
    let queue = TitoQueue::new(db.clone());
    for topic in ["mail", "held"] {
        queue.create_topic(topic, 2).await.unwrap();
    }
    turning(&clock, queue.add_group("mail", "audit", GroupStart::Now)).await.unwrap();
    turning(&clock, queue.add_group("mail", "asleep", GroupStart::Now)).await.unwrap();
    queue.pause("held").await.unwrap();
    queue.pause("mail@asleep").await.unwrap();
    queue.put_schedule(Schedule::every("hourly", Duration::from_secs(3600)).publishes(job("mail"))).await.unwrap();
    for topic in ["mail", "held"] {
        db.transaction(|tx| {
            let queue = queue.clone();
            async move { queue.publish(job(topic), &tx).await }
        })
        .await
        .unwrap();
    }
    let (bytes, _) = backed_up(&db, 100).await;
    let target = tempfile::tempdir().unwrap();
    let filled = restore(&bytes[..], &Place::directory(target.path())).await.unwrap();
    assert_eq!((filled.paused_queues, filled.paused_schedules), (2, 1));

    let options = EmbeddedBackend::builder().clock(clock.shared());
    let restored = options.open(target.path()).await.unwrap();
    let queues = TitoQueue::new(restored.clone());
    let paused = async || {
        let topics: std::collections::BTreeMap<_, _> = queues.topics(9, None).await.unwrap().into_iter().collect();
        ["mail", "mail@audit", "mail@asleep", "held"]
            .map(|queue| topics[queue.split('@').next().unwrap()].is_paused(queue))
    };
    let is_schedule_paused = async || queues.schedules().await.unwrap()[0].paused;
    assert_eq!(paused().await, [true; 4]);
    assert!(is_schedule_paused().await);
    assert_eq!(handled(&restored, &clock, "mail").await, 0);

    let resumed = resume(&restored).await.unwrap();
    assert_eq!(resumed.queues, ["mail", "mail@audit"]);
    assert_eq!(resumed.schedules, ["hourly"]);
    assert_eq!(paused().await, [false, false, true, true], "what was paused before stays so");
    assert!(!is_schedule_paused().await);
    assert_eq!(handled(&restored, &clock, "mail").await, 1);
    assert_eq!(resume(&restored).await.unwrap(), tito_backup::Resumed::default(), "there is nothing left to resume");
}

/// What an operator does with a single one after the restore stays.
#[fact]
pub async fn what_was_paused_or_resumed_alone_after_a_restore_stays_so(db: Database, clock: TestClock) {
    let (queue, hour) = (TitoQueue::new(db.clone()), Duration::from_secs(3_600));
    queue.create_topic("mail", 2).await.unwrap();
    turning(&clock, queue.add_group("mail", "audit", GroupStart::Now)).await.unwrap();
    queue.create_topic("other", 2).await.unwrap();
    for schedule in ["hourly", "other"] {
        queue.put_schedule(Schedule::every(schedule, hour).publishes(job("mail"))).await.unwrap();
    }
    let (bytes, _) = backed_up(&db, 100).await;
    // In the end it is paused, or not.
    for (does_resume, does_pause) in [(true, true), (false, true), (true, false)] {
        let target = tempfile::tempdir().unwrap();
        restore(&bytes[..], &Place::directory(target.path())).await.unwrap();
        let restored = open(target.path()).await;
        let queues = TitoQueue::new(restored.clone());
        // It is put at every start, which decides nothing.
        queues.put_schedule(Schedule::every("other", hour).publishes(job("other"))).await.unwrap();
        for queue in ["mail", "mail@audit"] {
            if does_resume {
                queues.resume(queue).await.unwrap();
            }
            if does_pause {
                queues.pause(queue).await.unwrap();
            }
        }
        if does_resume {
            assert!(queues.resume_schedule("hourly").await.unwrap());
        }
        if does_pause {
            assert!(queues.pause_schedule("hourly").await.unwrap());
        }
        let resumed = resume(&restored).await.unwrap();
        assert_eq!((resumed.queues, resumed.schedules), (vec!["other".to_string()], vec!["other".to_string()]));
        let topics = queues.topics(9, None).await.unwrap();
        let is_paused = ["mail", "mail@audit"].map(|queue| topics[0].1.is_paused(queue));
        assert_eq!(is_paused, [does_pause; 2], "{does_resume}");
        let schedules = queues.schedules().await.unwrap();
        assert_eq!([schedules[0].paused, schedules[1].paused], [does_pause, false], "{does_resume}");
        assert!(all(&restored).await.values().all(|row| !row.contains("paused_by_restore")));
        restored.close().await;
    }
}

/// A backup of a database that was restored, and not resumed.
#[fact]
pub async fn what_an_earlier_restore_has_paused_is_resumed_too(db: Database) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("mail", 2).await.unwrap();
    let (bytes, _) = backed_up(&db, 100).await;
    let first = tempfile::tempdir().unwrap();
    restore(&bytes[..], &Place::directory(first.path())).await.unwrap();
    let once = open(first.path()).await;
    let (bytes, _) = backed_up(&once, 100).await;
    let second = tempfile::tempdir().unwrap();
    restore(&bytes[..], &Place::directory(second.path())).await.unwrap();
    let twice = open(second.path()).await;
    assert_eq!(resume(&twice).await.unwrap().queues, ["mail"]);
}

#[fact]
pub async fn what_is_paused_for_a_time_does_not_go_on_by_itself_after_a_restore(db: Database) {
    let groups = "\"groups\":{\"g\":{\"since\":1,\"paused\":true,\"paused_until\":1700000000}}";
    let topic = format!("{{\"partitions\":1,{groups},\"paused\":true,\"paused_until\":1700000000}}");
    put(&db, &[("topic:mail", topic.as_str())]).await;
    let (bytes, _) = backed_up(&db, 1 << 20).await;
    let target = tempfile::tempdir().unwrap();
    restore(&bytes[..], &Place::directory(target.path())).await.unwrap();
    let restored = open(target.path()).await;
    let row = all(&restored).await["topic:mail"].clone();
    assert!(!row.contains("paused_until") && row.matches("\"paused_by_restore\":true").count() == 2, "{row}");
    assert_eq!(resume(&restored).await.unwrap().queues, ["mail", "mail@g"]);
}

/// A purge by mistake can be what the backup is restored from.
#[fact]
pub async fn operations_that_had_not_ended_are_stopped(db: Database) {
    let queue = TitoQueue::new(db.clone());
    queue.create_topic("mail", 1).await.unwrap();
    db.transaction(|tx| {
        let queue = queue.clone();
        async move { queue.publish(job("mail"), &tx).await }
    })
    .await
    .unwrap();
    let purge = || {
        let task = OperationTask::Purge { queue: "mail".to_string(), events: EventFilter::default() };
        Operation::new(task, &Operator::new("ada"))
    };
    let begun = queue.operations().start(purge()).await.unwrap();
    let (bytes, _) = backed_up(&db, 1 << 20).await;
    queue.operations().run(begun).await.unwrap();
    assert_eq!(queue.stats("mail").await.unwrap().total.pending, 0);
    let (ended, _) = backed_up(&db, 1 << 20).await;

    let target = tempfile::tempdir().unwrap();
    restore(&bytes[..], &Place::directory(target.path())).await.unwrap();
    let restored = TitoQueue::new(open(target.path()).await);
    let info = restored.operations().get(begun).await.unwrap();
    assert_eq!((info.state, info.failure.as_deref()), (OperationState::Stopped, Some("a restore has stopped it")));
    restored.operations().run(begun).await.unwrap();
    assert_eq!(restored.stats("mail").await.unwrap().total.pending, 1, "nobody goes on with it");

    let target = tempfile::tempdir().unwrap();
    restore(&ended[..], &Place::directory(target.path())).await.unwrap();
    let restored = TitoQueue::new(open(target.path()).await);
    assert_eq!(restored.operations().get(begun).await.unwrap().state, OperationState::Done);
}

#[fact]
pub async fn topics_that_can_not_be_read_are_taken_over_and_told(db: Database) {
    put(
        &db,
        &[("topic:bad", "{\"partitions\":"), ("schedule:bad", "7"), ("topic:new", "{\"partitions\":1,\"later\":0.10}")],
    )
    .await;
    let (bytes, _) = backed_up(&db, 1 << 20).await;
    let target = tempfile::tempdir().unwrap();
    let filled = restore(&bytes[..], &Place::directory(target.path())).await.unwrap();
    assert_eq!(filled.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(), ["schedule:bad", "topic:bad"]);
    let restored = open(target.path()).await;
    let rows = all(&restored).await;
    assert_eq!(rows["topic:bad"], "{\"partitions\":");
    let expected = "{\"partitions\":1,\"later\":0.10,\"paused\":true,\"paused_by_restore\":true,\"revision\":1}";
    assert_eq!(rows["topic:new"], expected);
    let resumed = resume(&restored).await.unwrap();
    assert_eq!((resumed.queues.len(), resumed.unreadable.len()), (1, 2));
    assert_eq!(all(&restored).await["topic:new"], "{\"partitions\":1,\"later\":0.10,\"revision\":2}");
}

#[fact]
pub async fn a_target_that_is_not_empty_is_refused_and_left_as_it_is(db: Database) {
    put(&db, &[("a", "1")]).await;
    let (bytes, _) = backed_up(&db, 1 << 20).await;
    let target = tempfile::tempdir().unwrap();
    let other = open(target.path()).await;
    put(&other, &[("mine", "yes")]).await;
    other.close().await;
    let error = restore(&bytes[..], &Place::directory(target.path())).await.unwrap_err();
    assert!(matches!(error.database(), Some(TitoError::InvalidTarget { .. })), "{error:?}");
    assert_eq!(all(&open(target.path()).await).await.len(), 1);

    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("notes.txt"), "mine").unwrap();
    let error = restore(&bytes[..], &Place::directory(foreign.path())).await.unwrap_err();
    assert!(matches!(error.database(), Some(TitoError::InvalidDatabase { .. })), "{error:?}");
    assert_eq!(std::fs::read_dir(foreign.path()).unwrap().count(), 1);
}

#[fact]
pub async fn a_target_that_another_backup_was_begun_in_is_refused(db: Database) {
    put(&db, &[("a", "1"), ("b", "1")]).await;
    let (first, _) = backed_up(&db, 1).await;
    let (second, _) = backed_up(&db, 1).await;
    let target = tempfile::tempdir().unwrap();
    let place = Place::directory(target.path());
    restore(&first[..first.len() - 1], &place).await.unwrap_err();
    let error = restore(&second[..], &place).await.unwrap_err();
    assert!(matches!(error, BackupError::OtherSource { by: "restore", .. }), "{error:?}");
    assert_incomplete(target.path()).await;
    restore(&first[..], &place).await.unwrap();
    assert_eq!(all(&open(target.path()).await).await.len(), 2);
}

#[tokio::test]
async fn places_without_a_database_are_refused_and_stay_as_they_are() {
    let outer = tempfile::tempdir().unwrap();
    let missing = outer.path().join("missing");
    for path in [missing.as_path(), outer.path()] {
        let error = Place::directory(path).open().await.unwrap_err();
        assert!(matches!(error, TitoError::NoDatabase { .. }), "{error:?}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
    assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 0);
    let url = format!("file:{}", missing.display());
    assert!(matches!(Place::url(&url).open().await.unwrap_err(), TitoError::NoDatabase { .. }));
    assert!(matches!(Place::url("memory:").open().await.unwrap_err(), TitoError::InvalidUrl { .. }));
}

#[fact]
pub async fn keys_and_values_of_any_bytes_and_lengths_come_through(db: Database) {
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let mut rows = std::collections::BTreeMap::new();
    for _ in 0..300 {
        let length = random.usize(1..40);
        let key: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
        if keys::reserved_prefix(&key).is_none() {
            rows.insert(key, vec![random.u8(..); random.usize(0..3_000)]);
        }
    }
    rows.insert(b"large".to_vec(), vec![7; 700_000]);
    let stored = rows.clone();
    db.transaction(|tx| async move {
        for (key, value) in stored {
            tx.put(key, value).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    let (bytes, totals) = backed_up(&db, 5_000).await;
    assert!(totals.blocks > 50, "{totals:?}");
    let target = tempfile::tempdir().unwrap();
    restore(&bytes[..], &Place::directory(target.path())).await.unwrap();
    let restored = open(target.path()).await;
    let tx = restored.begin().await.unwrap();
    let found = tx.scan(keys::KeyRange::prefix(""), 10_000).await.unwrap();
    assert!(found.into_iter().eq(rows));
}

/// An output that takes so many bytes.
struct Full(usize);

impl tokio::io::AsyncWrite for Full {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        std::task::Poll::Ready(match taken {
            0 => Err(std::io::ErrorKind::BrokenPipe.into()),
            taken => Ok(taken),
        })
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[fact]
pub async fn an_output_that_breaks_is_told_wherever_it_does(db: Database) {
    put(&db, &[("a", "1"), ("b", "1")]).await;
    let (whole, _) = backed_up(&db, 1).await;
    for taken in 0..whole.len() {
        let error = backup(&db, Full(taken), &BackupOptions::default().block_bytes(1)).await.unwrap_err();
        assert!(matches!(error, BackupError::Stream { .. }), "{taken}: {error:?}");
    }
    backup(&db, Full(whole.len()), &BackupOptions::default().block_bytes(1)).await.unwrap();
}
