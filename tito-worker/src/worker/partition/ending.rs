//! The end of a partition's work: running handlers get time to end, and their results are recorded.

use std::time::Duration;

use futures::future::OptionFuture;

use super::Partition;
use crate::worker::report::WorkerReport;

/// How long recording the results may take once the shutdown timeout has passed.
const LAST_RECORDING: Duration = Duration::from_secs(5);

impl Partition {
    pub(super) async fn shut_down(mut self, timeout: Duration) -> WorkerReport {
        self.lanes.close();
        self.release_unstarted();
        let ended = tokio::time::timeout(timeout, self.finish_running()).await;
        if ended.is_err() {
            self.report.unfinished = self.lanes.abort().await;
            tracing::warn!(
                queue = %self.runner.queue, partition = self.origin.partition, handlers = self.report.unfinished,
                "handlers did not end before the shutdown timeout"
            );
        }
        let database = self.database.clone();
        tokio::select! {
            _ = tokio::time::timeout(LAST_RECORDING, self.record_the_rest()) => {}
            // Nothing can be recorded any more.
            _ = database.closed() => self.take_finished(),
        }
        self.report.unrecorded = (self.unrecorded.len() + self.recorded_now) as u64;
        if self.report.unrecorded > 0 {
            tracing::error!(
                queue = %self.runner.queue, partition = self.origin.partition, events = self.report.unrecorded,
                "outcomes could not be recorded before shutdown; their events are handed out again"
            );
        }
        self.report
    }

    /// Waits until no handler runs; records those that end meanwhile.
    async fn finish_running(&mut self) {
        while self.lanes.are_running() {
            self.start_recording();
            tokio::select! {
                () = self.lanes.finished() => self.take_finished(),
                Some(recorded) = OptionFuture::from(self.recording.as_mut()) => {
                    if let Err(error) = self.take_recorded(recorded) {
                        self.runner.log_engine(Some(self.origin.partition), &error, "recording outcomes failed");
                    }
                }
            }
        }
    }

    async fn record_the_rest(&mut self) {
        loop {
            self.take_finished();
            self.start_recording();
            let Some(recording) = self.recording.as_mut() else { return };
            let recorded = recording.await;
            if let Err(error) = self.take_recorded(recorded) {
                self.runner.log_engine(Some(self.origin.partition), &error, "recording outcomes failed");
            }
        }
    }
}
