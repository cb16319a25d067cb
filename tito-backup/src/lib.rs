//! Backups of Tito databases: one stream of bytes, restored elsewhere under a new identity.
//!
//! ```
//! use tito_backup::{BackupOptions, Place, backup, restore, resume};
//! use tito_core::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let place = tempfile::tempdir()?;
//! # let path = place.path().join("restored");
//! # let db = EmbeddedBackend::in_memory().await?;
//! db.transaction(|tx| async move { tx.put(b"greeting".to_vec(), b"hello".to_vec()).await }).await?;
//! let mut bytes = Vec::new();
//! backup(&db, &mut bytes, &BackupOptions::default()).await?;
//!
//! restore(&bytes[..], &Place::directory(&path)).await?;
//! let restored = EmbeddedBackend::open(&path).await?;
//! assert_eq!(restored.begin().await?.get(b"greeting").await?, Some(b"hello".to_vec()));
//! // Queues and schedules are paused until this.
//! resume(&restored).await?;
//! # restored.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `format` | the bytes of a backup: header, blocks, trailer |
//! | `write` | a snapshot into a stream |
//! | `read` | a stream, checked, block by block |
//! | `place` | where a database lies |
//! | `fill`, `mark` | rows into an empty place that refuses to open until it is complete |
//! | `restore`, `copy` | what fills a place |
//! | `paused`, `object` | queues and schedules, paused and resumed |
//! | `verify` | rows that are not as they should be, and their repair |
//! | `pace` | how fast |
//!
//! The bytes of a backup are [specified](https://github.com/tito-rs/tito/blob/main/docs/format.md#backups); for how to
//! use all of this, see [the guide](https://github.com/tito-rs/tito/blob/main/docs/guide/backup.md).

mod copy;
mod error;
mod fill;
mod format;
mod keys;
mod mark;
mod object;
mod options;
mod pace;
mod paused;
mod place;
mod read;
mod restore;
mod verify;
mod write;

pub use copy::copy;
pub use error::{BackupError, Result};
pub use fill::Filled;
pub use format::Header;
pub use options::{BackupOptions, Progress};
pub use paused::{Resumed, resume};
pub use place::Place;
pub use read::{BackupReader, check};
pub use restore::{restore, restore_with};
pub use verify::{Difference, Verified, VerifyOptions, Wrong, verify, verify_backup};
pub use write::{Totals, backup};
