//! What was done with a queue, by minute.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tito_core::Result;
use tito_core::database::Walk;
use tito_core::event::check_queue_name;
use tito_core::row::StoredRow;

use crate::activity::{Activities, ActivityRow, Bucket, DURATION_BOUNDS, MINUTES_KEPT, minute_of, write_all};
use crate::keys;
use crate::queue::TitoQueue;
use crate::time::{as_millis, time_of_millis};

/// What all processes did with a queue in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MinuteActivity {
    /// When the minute began. Written as Unix seconds by serde.
    #[serde(serialize_with = "chrono::serde::ts_seconds::serialize")]
    pub minute: DateTime<Utc>,
    /// Events that were published. Retries and redrives are not among them.
    pub published: u64,
    /// Events whose handling went well: done, advanced, rescheduled.
    pub handled: u64,
    /// Attempts that failed, for good or not.
    pub failed: u64,
    /// Events that became dead letters.
    pub dead: u64,
    /// How long all handlers that ended ran in total.
    #[serde(rename = "duration_millis", serialize_with = "as_millis")]
    pub duration: Duration,
    /// How long the longest one ran.
    #[serde(rename = "longest_millis", serialize_with = "as_millis")]
    pub longest: Duration,
    /// How many handlers took up to 10 ms, 100 ms, 1 s, 10 s, 60 s, and longer.
    pub durations: [u64; DURATION_BOUNDS.len() + 1],
}

impl MinuteActivity {
    fn new(minute: u64, bucket: Bucket) -> Self {
        Self {
            minute: time_of_millis(minute.saturating_mul(60_000)),
            published: bucket.published,
            handled: bucket.handled,
            failed: bucket.failed,
            dead: bucket.dead,
            duration: Duration::from_micros(bucket.micros),
            longest: Duration::from_micros(bucket.longest_micros),
            durations: bucket.durations,
        }
    }
}

impl TitoQueue {
    /// Writes what this process has done so far for others to see, including the current minute: for a process that only
    /// publishes, before it ends. While it runs, a task writes each minute that is over; the task ends with this call, when
    /// the engine is closed, and when nothing was published for three minutes. Does nothing if nobody else could see it.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn write_activity(&self) -> Result<()> {
        write_all(&self.engine).await
    }

    /// What was done with a queue in the last minutes, from 1 to 120, oldest first; the last one is the current minute,
    /// which is not over. Minutes are by the processes' own clocks.
    ///
    /// This process's counts are exact; others' are as they have written them: a process that works or publishes writes a
    /// minute within 10 s of its end, if something happened in it, and a worker its last one when it ends. The last minute
    /// of a killed process is missing, and so is that of a process that only publishes, unless it calls
    /// [`write_activity`](TitoQueue::write_activity). Costs a scan of one row for each process and minute.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine.
    pub async fn activity(&self, queue: &str, minutes: u64) -> Result<Vec<MinuteActivity>> {
        check_queue_name(queue)?;
        let present = minute_of(&**self.engine.clock());
        let first = (present + 1).saturating_sub(minutes.clamp(1, MINUTES_KEPT));
        let activities = Activities::of(&self.engine);
        let mut buckets = vec![Bucket::default(); (present + 1 - first) as usize];
        let mut add = |minute: u64, bucket: &Bucket| {
            if let Some(sum) = minute.checked_sub(first).and_then(|at| buckets.get_mut(at as usize)) {
                *sum += bucket;
            }
        };
        for (minute, of_queues) in activities.minutes(&self.engine, |minute| minute >= first) {
            of_queues.get(queue).into_iter().for_each(|bucket| add(minute, bucket));
        }
        // Nobody else is there to write any on an engine with one process.
        if !self.engine.is_only_writer() {
            let mut walk = Walk::over(keys::activity_between(first, present + 1));
            while let Some((page, _)) = walk.next(&self.engine).await? {
                for (key, value) in page {
                    let place = keys::parse_activity(&key).filter(|(_, process)| *process != activities.process);
                    let Some((minute, _)) = place else { continue };
                    match ActivityRow::decode(&key, &value) {
                        Ok(row) => row.queues.get(queue).into_iter().for_each(|bucket| add(minute, bucket)),
                        Err(error) => self.engine.log_damaged(&error, "what was done in a minute is left out"),
                    }
                }
            }
        }
        let minutes = buckets.into_iter().zip(first..);
        Ok(minutes.map(|(bucket, minute)| MinuteActivity::new(minute, bucket)).collect())
    }
}
