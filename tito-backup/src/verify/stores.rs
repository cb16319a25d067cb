//! The application's own event stores, which can be checked completely.

use tito_core::{Database, DatabaseSnapshot, KeyText, TitoError};
use tito_eventstore::StoreFault;

use super::mend::Mend;
use super::{Finding, Verified, VerifyOptions, Wrong, tell};
use crate::error::Result;
use crate::keys;
use crate::options::Progress;
use crate::pace::Pace;

/// Checks all of them, as a snapshot has them.
pub(super) async fn check(
    database: &Database,
    snapshot: &DatabaseSnapshot,
    options: &VerifyOptions,
    pace: &mut Pace,
    verified: &mut Verified,
) -> Result<()> {
    // Read beside what was counted, and paced with it.
    let mut bytes = verified.bytes;
    for store in &options.stores {
        let definition = keys::event_store(store.store());
        let Some(mut checking) = store.begin(snapshot).await.map_err(TitoError::from)? else { continue };
        while let Some(read) = checking.next().await.map_err(TitoError::from)? {
            let number = checking.number();
            let findings = checking.take_faults().into_iter().map(|fault| finding(number, fault)).collect();
            tell(database, options, verified, findings).await?;
            bytes += read;
            if let Some(tell) = &options.on_progress {
                let key = KeyText::from(definition.as_slice());
                tell(&Progress { entries: verified.entries, bytes, key });
            }
            pace.wait_for(bytes).await;
        }
        verified.stores.push(checking.report().clone());
    }
    Ok(())
}

fn finding(store: u64, fault: StoreFault) -> Finding {
    let reason = fault.to_string();
    match fault {
        StoreFault::Snapshot { key, sequence, is_needed, .. } => {
            let finding = Finding::new(&key, Wrong::Snapshot { reason });
            if is_needed { finding } else { finding.mended_by(Mend::DeleteSnapshot { sequence }) }
        }
        StoreFault::Data { sequence, .. } => Finding::new(&keys::log_event(store, sequence), Wrong::Data { reason }),
        StoreFault::Fold { sequence, .. } => Finding::new(&keys::log_event(store, sequence), Wrong::Fold { reason }),
        other => Finding::new(&keys::log_head(store), Wrong::Fold { reason: other.to_string() }),
    }
}
