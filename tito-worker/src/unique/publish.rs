//! Publishing with a key.

use std::time::Duration;

use serde::Serialize;
use tito_core::event::{EventReference, Topic, delete_pending};
use tito_core::{KeyText, Result, TitoError, Transaction};

use super::options::{LONGEST_WINDOW, Unique};
use super::row::UniqueRow;
use crate::keys;
use crate::locate::locate;
use crate::publish::Publish;
use crate::queue::TitoQueue;

/// How many seconds an event waits at most for the next attempt of one that it has replaced, where the order is
/// strict. To spare it that, everybody who publishes for a failing entity would write the topic's row, and workers read
/// all of their partitions again: in the outage of a service that all handlers need, that would block publishers.
const LONGEST_WAIT: i64 = 10;

/// What happened to an event that was published with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Published {
    /// It was published: no other event had its key, or that one is done.
    New(EventReference),
    /// It was not published: this earlier event has the key, whether it is done or not. Nothing was written.
    Kept(EventReference),
    /// It was published in place of an earlier one, which was deleted.
    Replaced {
        /// The event that was published.
        event: EventReference,
        /// The one that was deleted.
        earlier: EventReference,
    },
}

impl Published {
    /// The event that has the key now.
    pub fn event(&self) -> &EventReference {
        match self {
            Self::New(event) | Self::Kept(event) | Self::Replaced { event, .. } => event,
        }
    }

    /// Whether the event was written.
    pub fn is_published(&self) -> bool {
        !matches!(self, Self::Kept(_))
    }
}

impl TitoQueue {
    /// Publishes an event in a transaction unless there is another with its key: see [`Unique`]. Of two transactions
    /// that publish with the same key at once, one meets a conflict and, when replayed, finds the other's event.
    ///
    /// Time is the engine's, at the start of the transaction. Keeping costs one read. Replacing costs what
    /// [`cancel`](TitoQueue::cancel) costs, which grows with the partition's backlog once the earlier event is done or
    /// retried. An earlier event that is being handled while it is replaced is treated as by `cancel`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tito_core::prelude::*;
    /// # use tito_worker::{Published, Unique};
    /// # use tito_worker::prelude::*;
    /// # async fn example(queue: TitoQueue, tx: tito_core::Transaction) -> Result<(), TitoError> {
    /// let digest = Publish::new("digest", "user:17");
    /// let once_a_day = Unique::key("user:17").window(Duration::from_secs(24 * 3600));
    /// match queue.publish_unique(digest, once_a_day, &tx).await? {
    ///     Published::Kept(earlier) => println!("there is one of {}", earlier.timestamp),
    ///     published => println!("published {}", published.event().id),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TitoError::OutOfRange`] for a window outside its bounds; [`TitoError::Malformed`], which names the key, if
    /// what is stored of the earlier event can't be read; those of [`publish`](TitoQueue::publish).
    pub async fn publish_unique(&self, event: Publish, unique: Unique, tx: &Transaction) -> Result<Published> {
        let Unique { key: unique_key, window, replaces } = unique;
        let topic = event.event_type.clone();
        check_window(&topic, &unique_key, window)?;
        // The whole call enters the transaction, or nothing of it.
        let call = tx.nested();
        let tx = &call;
        let earlier = UniqueRow::read(tx, &topic, &unique_key).await?.map(|row| row.event().clone());
        let replaced = match earlier {
            Some(earlier) if !replaces => return Ok(Published::Kept(earlier)),
            Some(earlier) => {
                let located = locate(&self.engine, tx, &earlier).await?;
                for pending in &located {
                    delete_pending(tx, pending.key.clone(), &pending.value).await?;
                }
                let worth_it = tx.now().seconds().saturating_add(LONGEST_WAIT);
                if located.iter().any(|pending| pending.blocks_until().is_some_and(|until| until > worth_it)) {
                    Topic::raise_revision(tx, &topic).await?;
                }
                (!located.is_empty()).then_some(earlier)
            }
            None => None,
        };
        let owner = event.owner_text()?;
        let event = self.publish(event, tx).await?;
        let until = tx.now().seconds_after(window);
        UniqueRow::new(event.clone(), until, owner).write(tx, &topic, &unique_key).await?;
        call.merge()?;
        Ok(match replaced {
            Some(earlier) => Published::Replaced { event, earlier },
            None => Published::New(event),
        })
    }
}

fn check_window(topic: &str, unique_key: &str, window: Duration) -> Result<()> {
    if !window.is_zero() && window <= LONGEST_WINDOW {
        return Ok(());
    }
    Err(TitoError::OutOfRange {
        what: "the window of a unique event",
        found: format!("{window:?}"),
        expected: format!("more than {:?} and at most {LONGEST_WINDOW:?}", Duration::ZERO),
        key: KeyText::from(keys::unique_event(topic, unique_key)),
    })
}
