//! Timestamps reserved ahead, so that they stay unique across restarts.

use std::time::Duration;

use super::{Committer, guarded};
use crate::embedded::head::lock;
use crate::embedded::opening::storage_failed;
use crate::embedded::store::{Admission, AppendError, Write};
use crate::embedded::transaction::closed;
use crate::error::Result;
use crate::timestamp::Timestamp;

/// How far ahead timestamps are reserved. After a crash, timestamps go on from the reservation, so the engine's clock
/// can stand this much ahead of the machine's until that has caught up.
const RESERVED_AHEAD: Duration = Duration::from_secs(1);

/// Like [`RESERVED_AHEAD`], where there is hardly space to write reservations down.
const RESERVED_FAR_AHEAD: Duration = Duration::from_secs(10);

/// Like [`RESERVED_AHEAD`], on the slowest disk.
const RESERVED_AT_MOST: Duration = Duration::from_secs(60);

impl Committer {
    /// How far ahead timestamps are reserved: further where there is hardly space to write reservations down, and where
    /// the disk is so slow that they would be over before they are written.
    pub(super) fn reserve_ahead(&self) -> Duration {
        let least = if self.store.is_short_of_space() { RESERVED_FAR_AHEAD } else { RESERVED_AHEAD };
        least.max(self.last_append.saturating_mul(4)).min(RESERVED_AT_MOST)
    }

    pub(super) fn append_measured(
        &mut self,
        writes: Vec<Write>,
        reserved: Timestamp,
        admission: Admission,
    ) -> std::result::Result<(), AppendError> {
        let began_millis = self.core.clock.monotonic_millis();
        let appended = guarded(|| self.store.append(writes, reserved, admission));
        self.last_append = Duration::from_millis(self.core.clock.monotonic_millis().saturating_sub(began_millis));
        appended
    }

    pub(super) fn reserve(&mut self) -> Result<()> {
        let reserved = {
            let mut head = lock(&self.core.head);
            head.check_open()?;
            let now_millis = head.now(&*self.core.clock).millis();
            if !head.oracle.is_exhausted(now_millis) {
                // Others who waited with this one were first.
                return Ok(());
            }
            head.oracle.reservation(now_millis, self.reserve_ahead())
        };
        match self.append_measured(Vec::new(), reserved, Admission::Timestamps) {
            Ok(()) => {
                lock(&self.core.head).oracle.reserve(reserved);
                Ok(())
            }
            Err(AppendError::Refused(error)) => Err(storage_failed("reserving timestamps", error.into())),
            Err(AppendError::Lost(error)) => {
                let reason = format!(
                    "the storage failed in reserving timestamps, so the database has to be opened again: {error}"
                );
                self.core.fail(reason);
                Err(closed(&self.core))
            }
        }
    }
}
