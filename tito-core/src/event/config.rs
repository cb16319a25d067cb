//! Which events a model publishes.

/// An event that a write of a model publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TitoEventConfig {
    /// The event's type, which is the topic that it is published to.
    pub name: String,
    /// When the event falls due, in Unix seconds. A time before the transaction's start means at once; one after
    /// 9,999,999,999 (in 2286) means that second.
    pub timestamp: i64,
}

impl TitoEventConfig {
    /// An event that is due at the start of its transaction, by the engine's clock, so that clients' clocks can't
    /// reorder the events of an entity.
    pub fn immediate(name: impl Into<String>) -> Self {
        Self { name: name.into(), timestamp: 0 }
    }

    /// An event that falls due at a time, in Unix seconds.
    pub fn at(name: impl Into<String>, timestamp: i64) -> Self {
        Self { name: name.into(), timestamp }
    }
}
