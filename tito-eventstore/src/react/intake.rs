//! What plain handlers get next: pages of the store.

use std::task::Poll;

use futures::{FutureExt, poll};

use super::beside::{Beside, MOST_OPEN};
use crate::error::Result;
use crate::event::Event;
use crate::read::Cursor;

impl Beside<'_> {
    /// A page is read while the one before it is handed out.
    pub(super) fn wants_page(&self) -> bool {
        self.ahead.len() <= MOST_OPEN && !self.is_at_end && self.unreadable.is_empty()
    }

    /// Begins to read a page, if it is time for that. One that is there at once is returned.
    pub(super) async fn start_reading(&mut self) -> Option<Result<Vec<Event>>> {
        if self.wants_page() {
            if let Some(mut cursor) = self.cursor.take() {
                let read = async move {
                    let page = cursor.next_page().await;
                    (cursor, page)
                };
                self.reading = Some(read.boxed());
            }
            // Engines read on another thread: it is under way while events are handed out.
            if let Some(reading) = &mut self.reading
                && let Poll::Ready((cursor, page)) = poll!(reading)
            {
                self.reading = None;
                self.cursor = Some(cursor);
                return Some(page);
            }
        }
        None
    }

    pub(super) async fn take_page(&mut self, page: Result<Vec<Event>>) -> Result<()> {
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        match page {
            Ok(page) if page.is_empty() => {
                self.is_at_end = true;
                if self.ahead.is_empty() {
                    self.reached = self.reached.max(cursor.position());
                }
                Ok(())
            }
            Ok(page) => {
                if self.waiting.events() > 0 {
                    let tx = self.fed.database().begin().await?;
                    let looked = self.waiting.look(self.fed, &tx, &page).await;
                    tx.rollback().await;
                    looked?;
                }
                self.has_found = true;
                self.ahead.extend(page);
                Ok(())
            }
            Err(error) => {
                let Some(at_fault) = cursor.at_fault() else { return Err(error) };
                let entity = at_fault.event.as_ref().map(|event| event.entity().to_string());
                self.unreadable.push_back((at_fault.sequence, entity, error));
                cursor.pass_over();
                Ok(())
            }
        }
    }

    /// Looks which of the events in memory were erased. What is being read may be from before, and is read anew.
    pub(super) async fn look_for_erased(&mut self) -> Result<()> {
        let in_memory = self.ahead.iter().chain(self.lanes.values().flatten());
        let gone = self.reacting.gone(in_memory.map(Event::sequence).collect()).await?;
        (self.gone, self.erasures) = (gone.sequences, gone.erasures);
        let last = self.ahead.iter().map(Event::sequence).max();
        let unreadable = self.unreadable.back().map(|(sequence, ..)| *sequence);
        let select = self.reacting.select.clone();
        let after = self.reached.max(select.begin()).max(last.unwrap_or(0)).max(unreadable.unwrap_or(0));
        self.reading = None;
        self.cursor = Some(Cursor::new(&self.reacting.store, &select.after(after))?);
        self.is_at_end = false;
        Ok(())
    }

    /// There may be more of the store, or the reactor was changed.
    pub(super) async fn look_again(&mut self) -> Result<()> {
        // A recording that is under way finds out by itself, and what it has stored is not known here yet.
        if self.recording.is_none() && !self.reacting.is_as(&self.stored).await? {
            self.is_lost = true;
            return Ok(());
        }
        self.is_at_end = false;
        if let Some(cursor) = &mut self.cursor {
            cursor.extend();
        }
        Ok(())
    }
}
