//! Goes over all rows of a database and reports those that are not as they should be.
//!
//! | file | idea |
//! |---|---|
//! | this one | what is called, and what it answers |
//! | `wrong` | what can be wrong with a row |
//! | `known` | what has to be known of the whole to judge a row: topics, stores, tables that are being dropped |
//! | `rows` | a row by itself |
//! | `logs` | the rows of event stores |
//! | `event_value` | the value of an event of a store |
//! | `lookups` | rows that others call for |
//! | `mend` | what can be put right by a rule |
//! | `models` | the application's own models |
//! | `stores` | the application's own event stores |

mod event_value;
mod known;
mod logs;
mod lookups;
mod mend;
mod models;
mod rows;
mod stores;
mod wrong;

use std::path::Path;
use std::sync::Arc;

#[cfg(doc)]
use tito_core::model::TitoTable;
use tito_core::model::{CheckReport, TitoSchema};
use tito_core::{Database, KeyText};
use tito_eventstore::{StoreCheck, StoreReport};
use tokio::io::AsyncRead;

use crate::error::Result;
use crate::options::{OnProgress, Progress};
use crate::pace::Pace;
use crate::place::Place;
use crate::restore::restore;
use crate::write::Pages;
use known::Known;
use lookups::Lookups;
use mend::Mend;
use models::Models;

pub use wrong::Wrong;

/// How many differences are listed.
const LISTED: usize = 1_000;

/// How much is read at once, in bytes of keys and values.
const PAGE_BYTES: usize = 1 << 20;

/// How a database is verified.
#[derive(Clone, Default)]
#[must_use]
pub struct VerifyOptions {
    bytes_per_second: Option<u64>,
    repairs: bool,
    models: Models,
    stores: Vec<StoreCheck>,
    on_progress: Option<OnProgress>,
}

impl VerifyOptions {
    /// How many bytes of keys and values are read per second at most. Default: no limit. As a backup does, it rests while
    /// this process commits.
    pub fn bytes_per_second(mut self, bytes: u64) -> Self {
        self.bytes_per_second = Some(bytes.max(1));
        self
    }

    /// Repairs what a rule can, each finding in its own transaction, which checks again: see [`Wrong`].
    pub fn repair(mut self) -> Self {
        self.repairs = true;
        self
    }

    /// Checks the rows of a model completely, as [`TitoTable::check`] does: that they can be read and have the right
    /// index entries. To repair these, use [`reindex`](TitoTable::reindex).
    pub fn model<M: TitoSchema>(mut self) -> Self {
        self.models.add::<M>();
        self
    }

    /// Checks an event store completely, by what the application knows of it: the data of each event can be read as its
    /// type and is valid, models can be folded from the events, and snapshots are what these fold into. Given twice, both
    /// are checked; a store that the database does not have is skipped.
    pub fn store(mut self, check: StoreCheck) -> Self {
        self.stores.push(check);
        self
    }

    /// Calls `f` after each page of about a mebibyte.
    pub fn on_progress(mut self, tell: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(tell));
        self
    }
}

/// What a verification has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Rows.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// The first thousand rows that are not as they should be, by their keys; of event stores that were checked completely
    /// what that has found comes after.
    pub differences: Vec<Difference>,
    /// How many such rows there are.
    pub total: u64,
    /// How many of them were repaired.
    pub repaired: u64,
    /// How many of them a rule says how to repair, whether that was asked for or not.
    pub repairable: u64,
    /// Rows of kinds that this version does not know, and did not check.
    pub unknown: u64,
    /// What the complete check of each model has found, by its table.
    pub models: Vec<(String, CheckReport)>,
    /// Tables whose models were not given, so that their rows were only checked to be JSON.
    pub tables_without_model: Vec<String>,
    /// What the complete check of each event store has looked at.
    pub stores: Vec<StoreReport>,
    /// Event stores of which nothing was given, so that of their events only the form was checked, and that there are all
    /// of them.
    pub stores_without_types: Vec<String>,
}

impl Verified {
    /// Whether nothing is wrong that was not repaired.
    pub fn is_sound(&self) -> bool {
        let are_models_sound = self
            .models
            .iter()
            .all(|(_, report)| (report.damaged_rows, report.missing_entries, report.stale_entries) == (0, 0, 0));
        self.total == self.repaired && are_models_sound
    }

    /// Whether all tables were checked by their models, and all event stores by their types. Otherwise the check was
    /// structural for those that [`tables_without_model`](Verified::tables_without_model) and
    /// [`stores_without_types`](Verified::stores_without_types) name.
    pub fn is_complete(&self) -> bool {
        self.tables_without_model.is_empty() && self.stores_without_types.is_empty()
    }
}

/// A row that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The row's key or, if it is missing, the key where it should be.
    pub key: KeyText,
    /// What is wrong.
    pub wrong: Wrong,
    /// Whether it was repaired.
    pub is_repaired: bool,
}

/// What is wrong with a row, and what would repair it.
struct Finding {
    key: Vec<u8>,
    wrong: Wrong,
    mend: Option<Mend>,
}

impl Finding {
    fn new(key: &[u8], wrong: Wrong) -> Self {
        Self { key: key.to_vec(), wrong, mend: None }
    }

    fn mended_by(mut self, mend: Mend) -> Self {
        self.mend = Some(mend);
        self
    }
}

/// Goes over all rows of a database at one timestamp, while it is in use, and reports those that are not as they should
/// be. It checks that keys can be parsed, values are what their keys say, index entries have their rows, events have
/// topics and are in the right partitions, event stores have no gaps, and projections are not ahead of their stores.
///
/// Memory holds a page and the names of topics, stores and tables, but not the rows. Costs a read of everything, and a
/// second read of rows, events of stores and their entries; event stores that are checked completely are read once more
/// for each model.
///
/// # Errors
/// Those of the database. A wrong row is not an error.
pub async fn verify(database: &Database, options: &VerifyOptions) -> Result<Verified> {
    let snapshot = database.snapshot().await?;
    let mut pace = Pace::new(database, options.bytes_per_second);
    let mut verified = Verified::default();
    let mut known = Known::read(&snapshot).await?;
    let mut pages = Pages::of(&snapshot, PAGE_BYTES);
    loop {
        let page = pages.next().await?;
        let Some((last, _)) = page.last() else { break };
        let (mut findings, mut lookups) = (Vec::new(), Lookups::default());
        for (key, value) in &page {
            verified.entries += 1;
            verified.bytes += (key.len() + value.len()) as u64;
            match rows::check(key, value, &mut known, &mut lookups) {
                rows::Checked::Sound => {}
                rows::Checked::Unknown => verified.unknown += 1,
                rows::Checked::Wrong(finding) => findings.push(finding),
            }
        }
        findings.extend(lookups.made(&snapshot).await?);
        findings.sort_by(|one, other| one.key.cmp(&other.key));
        tell(database, options, &mut verified, findings).await?;
        if let Some(tell) = &options.on_progress {
            let (entries, bytes) = (verified.entries, verified.bytes);
            tell(&Progress { entries, bytes, key: KeyText::from(last.as_slice()) });
        }
        pace.wait_for(verified.bytes).await;
    }
    drop(pages);
    let findings = known.ends_of_stores();
    tell(database, options, &mut verified, findings).await?;
    stores::check(database, &snapshot, options, &mut pace, &mut verified).await?;
    let with_types = |name: &str| verified.stores.iter().any(|report| report.store == name && report.are_types_checked);
    let names = known.stores.values().map(|store| &store.name);
    verified.stores_without_types = names.filter(|name| !with_types(name)).cloned().collect();
    verified.stores_without_types.sort();
    snapshot.release().await?;
    verified.models = options.models.checked(database).await?;
    let with_model = |table: &String| verified.models.iter().any(|(name, _)| name == table);
    verified.tables_without_model = known.tables.iter().filter(|table| !with_model(table)).cloned().collect();
    Ok(verified)
}

/// Notes what was found, and puts it right where that is asked for.
async fn tell(
    database: &Database,
    options: &VerifyOptions,
    verified: &mut Verified,
    findings: Vec<Finding>,
) -> Result<()> {
    for Finding { key, wrong, mend } in findings {
        verified.repairable += u64::from(mend.is_some());
        let is_repaired = match mend.filter(|_| options.repairs) {
            Some(mend) => mend.apply(database, &key).await?,
            None => false,
        };
        verified.total += 1;
        verified.repaired += u64::from(is_repaired);
        if verified.differences.len() < LISTED {
            verified.differences.push(Difference { key: KeyText::from(key), wrong, is_repaired });
        }
    }
    Ok(())
}

/// Verifies a backup: restores it into a directory within `scratch`, which needs as much space as the database,
/// [verifies](verify) that, and deletes it. So it also shows that the backup can be restored. [`check`](crate::check)
/// only reads a backup, and needs no space.
///
/// # Errors
/// Those of [`restore`](crate::restore()) and [`verify`].
pub async fn verify_backup<R>(backup: R, scratch: impl AsRef<Path>, options: &VerifyOptions) -> Result<Verified>
where
    R: AsyncRead + Unpin + Send,
{
    let path = scratch.as_ref().join(format!("tito-verify-{}", tito_core::engine::DatabaseIdentity::random().id));
    let _removed = Removed(path.clone());
    let place = Place::directory(&path);
    restore(backup, &place).await?;
    let restored = place.open().await?;
    let verified = verify(&restored, options).await;
    restored.close().await;
    verified
}

/// Removes a directory when it is dropped, also where the verification is cancelled.
struct Removed(std::path::PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "a directory for a verification could not be removed");
        }
    }
}

impl std::fmt::Debug for VerifyOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyOptions")
            .field("bytes_per_second", &self.bytes_per_second)
            .field("repairs", &self.repairs)
            .field("stores", &self.stores)
            .finish_non_exhaustive()
    }
}
