//! Finishes what another process began.

use tito_core::database::Walk;
use tito_core::event::Topic;
use tito_core::{Result, TitoError};

use super::settings::decode_topic;
use crate::error::QueueError;
use crate::keys;
use crate::queue::TitoQueue;

impl TitoQueue {
    /// Finishes changes of topics that were begun but not finished, for example by a process that died: changes of the
    /// number of partitions, groups that are being removed, groups into which earlier events are being copied. Several
    /// processes may do so at once, even while the one that began is still working. Returns how many changes it found;
    /// if there are none, it costs one scan over the topics. A topic whose stored value can't be read is logged and
    /// skipped.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn finish_changes(&self) -> Result<u64, QueueError> {
        let mut finished = 0;
        let mut walk = Walk::over(keys::topics());
        while let Some((page, _)) = walk.next(&self.engine).await? {
            for stored in &page {
                let done = match decode_topic(stored) {
                    Ok((name, topic)) => self.finish_changes_of(&name, &topic).await,
                    Err(error) => Err(error),
                };
                match done {
                    Ok(more) => finished += more,
                    Err(error @ TitoError::Malformed { .. }) => {
                        self.engine.log_damaged(&error, "its changes can't be finished");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(finished)
    }

    async fn finish_changes_of(&self, name: &str, topic: &Topic) -> Result<u64> {
        // On the heap, as each of them is large.
        let mut finished = 0;
        if topic.resized_from.is_some() {
            Box::pin(self.finish_resize(name)).await?;
            finished += 1;
        }
        for group in topic.removed_groups.keys() {
            Box::pin(self.finish_removal(name, group, topic)).await?;
            finished += 1;
        }
        for (group, registered) in topic.groups.iter().filter(|(_, group)| group.copies_before.is_some()) {
            Box::pin(self.finish_adding(name, group, registered)).await?;
            finished += 1;
        }
        Ok(finished)
    }
}
