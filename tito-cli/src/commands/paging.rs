//! Pages of a listing.

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tito_console::api::Page;

use crate::client::{Call, Client};
use crate::failure::{Failure, Kind, Result};
use crate::output::{Output, Table, note, visible};

/// The most that a page has.
const PAGE: u32 = 1_000;

/// How much of a listing is wanted.
#[derive(Clone, Debug, Args)]
pub(crate) struct Paging {
    /// How many at most
    #[arg(long, short, value_name = "NUMBER", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Where to continue, from an earlier answer
    #[arg(long, value_name = "WHERE")]
    after: Option<String>,
}

/// What a listing has: as it came, for programs, and as this program understands it.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    raw: Page<Box<RawValue>>,
    pub(crate) items: Vec<T>,
}

impl Paging {
    /// As many pages as it takes.
    pub(crate) async fn read<T: DeserializeOwned>(&self, client: &Client, call: &Call) -> Result<Listed<T>> {
        let mut listed = Listed { raw: Page { items: Vec::new(), next: self.after.clone() }, items: Vec::new() };
        loop {
            let left = self.limit.saturating_sub(u32::try_from(listed.items.len()).unwrap_or(u32::MAX));
            let call = call.clone().query("limit", left.min(PAGE)).query_if("after", listed.raw.next.take());
            listed.add(client.get::<Page<Box<RawValue>>>(&call).await?.value)?;
            if listed.raw.next.is_none() || listed.items.len() >= self.limit as usize {
                return Ok(listed);
            }
        }
    }
}

/// All of a listing.
pub(crate) async fn read_whole<T: DeserializeOwned>(client: &Client, call: &Call) -> Result<Listed<T>> {
    Paging { limit: u32::MAX, after: None }.read(client, call).await
}

impl<T: DeserializeOwned> Listed<T> {
    fn add(&mut self, page: Page<Box<RawValue>>) -> Result<()> {
        for item in page.items {
            let value = serde_json::from_str(item.get()).map_err(|error| {
                Failure::new(Kind::Failed, "an item of the answer is not what this program knows").because(error)
            })?;
            self.items.push(value);
            self.raw.items.push(item);
        }
        self.raw.next = page.next;
        Ok(())
    }

    /// Keeps those of a kind.
    pub(crate) fn keep(&mut self, is_kept: impl Fn(&T) -> bool) {
        let items = std::mem::take(&mut self.items).into_iter().zip(std::mem::take(&mut self.raw.items));
        (self.items, self.raw.items) = items.filter(|(item, _)| is_kept(item)).unzip();
    }

    /// The first one.
    pub(crate) fn one(&self) -> Option<(&RawValue, &T)> {
        self.raw.items.first().map(AsRef::as_ref).zip(self.items.first())
    }

    /// Says it: the document, or a table and where it goes on.
    pub(crate) fn tell(&self, output: &Output, table: impl FnOnce(&[T]) -> Table, if_empty: &str) -> Result<()> {
        output.answer(&self.raw, |output| {
            output.table(&table(&self.items), if_empty)?;
            if let Some(next) = &self.raw.next {
                note(format!("There is more: --after '{}'", visible(&next.replace('\'', "'\\''"))));
            }
            Ok(())
        })
    }
}
