//! Whether an engine can do what a store asks of it.

use tito_core::Database;

use super::config::{EventStoreConfig, StorageType};
use crate::error::{EventStoreError, Result};

/// # Errors
/// [`EventStoreError::StoreNameRequired`], [`EventStoreError::OptionNotHonoured`], and
/// [`TitoError::InvalidName`](tito_core::TitoError::InvalidName) for names that can't be in keys.
pub(super) fn check(database: &Database, config: &EventStoreConfig) -> Result<()> {
    if config.name.is_empty() {
        return Err(EventStoreError::StoreNameRequired);
    }
    tito_core::check_name("event store", &config.name)?;
    if let Some(topic) = &config.republish {
        tito_core::check_event_type(topic)?;
    }
    let refused = |option: String, reason: &str| {
        Err(EventStoreError::OptionNotHonoured { name: config.name.clone(), option, reason: reason.to_string() })
    };
    match (config.storage, database.is_durable()) {
        (Some(StorageType::Durable), false) => return refused("durable storage".into(), "the engine is in memory"),
        (Some(StorageType::Memory), true) => return refused("storage in memory".into(), "the engine is durable"),
        _ => {}
    }
    match (config.replicas, database.is_only_writer()) {
        (None, _) | (Some(1), true) => {}
        (Some(replicas), true) => {
            return refused(format!("{replicas} replicas"), "the engine keeps one copy, on its own machine");
        }
        (Some(replicas), false) => {
            return refused(
                format!("{replicas} replicas"),
                "the cluster decides how many copies it keeps, for all keys",
            );
        }
    }
    match &config.placement {
        None => Ok(()),
        Some(placement) => refused(format!("placement {placement:?}"), "the engine decides where copies are"),
    }
}
