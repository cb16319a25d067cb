//! What can be done about an error, and which event it is about.

use tito_core::TitoError;

use super::EventStoreError;
use crate::event::Damage;
use crate::keys;

impl EventStoreError {
    /// Whether the same call can succeed later: after a conflict once the decision is made again, or if the storage was
    /// unavailable.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::SequenceConflict { .. } => true,
            Self::Engine(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// The engine's or the database's error, if it is one.
    pub fn engine(&self) -> Option<&TitoError> {
        match self {
            Self::Engine(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the engine or its storage failed, rather than the call: as [`TitoError::is_engine_failure`].
    pub fn is_engine_failure(&self) -> bool {
        self.engine().is_some_and(TitoError::is_engine_failure)
    }

    /// Whether the error proves that nothing was committed: as [`TitoError::is_not_committed`].
    pub fn is_not_committed(&self) -> bool {
        self.engine().is_none_or(TitoError::is_not_committed)
    }

    /// Whether the engine is closed: as [`TitoError::is_closed`].
    pub fn is_closed(&self) -> bool {
        self.engine().is_some_and(TitoError::is_closed)
    }

    /// Whether it is about what was called for, and neither the engine's nor a conflict: another call need not meet it.
    pub(crate) fn is_of_the_call(&self) -> bool {
        !self.engine().is_some_and(TitoError::is_transient)
    }

    /// The sequence of the stored event that the error is about: one that is damaged, that can't be upgraded to the
    /// program's version, or by which a model or a projection can't evolve.
    pub fn sequence(&self) -> Option<u64> {
        match self {
            // That of one that is still to be appended is 0.
            Self::Decode { sequence, .. } | Self::Evolver { sequence, .. } | Self::Projector { sequence, .. } => {
                Some(*sequence).filter(|sequence| *sequence > 0)
            }
            Self::Engine(TitoError::Malformed { key, .. }) => {
                keys::parse_log_event(key.as_bytes()).map(|(sequence, _)| sequence)
            }
            _ => None,
        }
    }

    /// The entity, `type.id`, of that event; `None` if a damaged event does not reveal it.
    pub fn entity(&self) -> Option<String> {
        match self {
            Self::Decode { entity, .. } | Self::Evolver { entity, .. } | Self::Projector { entity, .. } => {
                Some(entity.clone())
            }
            Self::Engine(TitoError::Malformed { key, source, .. }) => {
                let of_key = keys::parse_log_event(key.as_bytes()).and_then(|(_, entity)| entity);
                let of_key = of_key.map(|(of_type, id)| format!("{of_type}.{id}"));
                of_key.or_else(|| source.downcast_ref::<Damage>()?.entity.clone())
            }
            _ => None,
        }
    }
}
