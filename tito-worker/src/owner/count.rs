//! Counts what belongs to an owner, up to a bound.

use std::collections::HashSet;

use tito_core::database::{PageSize, Walk};
use tito_core::event::check_owner;
use tito_core::{Result, Transaction};

use super::belongings::{Belonging, Found, belongings};
use super::counts::OwnerCounts;
use super::erase::state_of;
use crate::keys;
use crate::place::Kind;
use crate::queue::TitoQueue;

/// How many of an owner's rows are counted.
const MOST_ROWS: usize = 400;

/// How many of them in one transaction.
const PAGE: usize = 100;

impl TitoQueue {
    /// How much [`erase_owner`](TitoQueue::erase_owner) would delete: of the first 400 things that belong to the owner, and
    /// [at least](OwnerCounts::at_least) that much if there are more. What can't be read is not counted.
    ///
    /// # Errors
    /// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName), and those of the engine.
    pub async fn count_owned(&self, owner: &str) -> Result<OwnerCounts> {
        check_owner(owner)?;
        let (mut counts, mut rows, mut events) = (OwnerCounts::default(), 0, HashSet::new());
        let mut rest = keys::owned_by(owner);
        while !counts.at_least {
            let range = rest.clone();
            let reading = |tx: Transaction| {
                let mut walk = Walk::over(range.clone()).in_pages(PageSize::entries(PAGE));
                async move {
                    let page = walk.next_in(&tx).await?.unwrap_or_default();
                    let rows = page.into_iter().map(|(row, _)| row).collect();
                    Ok((belongings(&tx, rows, usize::MAX).await?, tx.now()))
                }
            };
            let (found, now) = Box::pin(self.engine.transaction(reading)).await?;
            let Some(last) = found.last() else { break };
            rest = rest.after(&last.row);
            rows += found.len();
            counts.at_least = rows >= MOST_ROWS;
            for Belonging { row: _, found } in found {
                match found {
                    Ok(Found::Pending(located)) => {
                        // Two rows can lead to one event.
                        for event in located.into_iter().filter(|event| events.insert(event.key.clone())) {
                            *counts.pending(state_of(&event, now.seconds())) += 1;
                        }
                    }
                    Ok(Found::Kept(Kind::Dead, _)) => counts.dead += 1,
                    Ok(Found::Kept(..)) => counts.done += 1,
                    Ok(Found::Unique(_)) => counts.unique += 1,
                    Ok(Found::Schedule(_)) => counts.schedules += 1,
                    Ok(Found::Gone) => {}
                    Err(error) => self.engine.log_damaged(&error, "it is not counted"),
                }
            }
        }
        Ok(counts)
    }
}
