//! What can be wrong with a row.

use tito_core::KeyText;

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// The key begins like one of Tito's, but is not one. Not repaired.
    #[error("expected {expected}")]
    Key {
        /// What the key should be.
        expected: &'static str,
    },

    /// The value is not what the key says. A repair deletes the row of a member, a lease, a process or a checkpoint, as
    /// it is written again; others are not repaired.
    #[error("the value is not {expected}: {reason}")]
    Value {
        /// What the value should be.
        expected: &'static str,
        /// Why it is not.
        reason: String,
    },

    /// An entry of an index whose row is not there. A repair deletes the entry.
    #[error("the entry's row {row} does not exist")]
    EntryWithoutRow {
        /// The key of the row.
        row: KeyText,
    },

    /// An event of a topic that does not exist, or of a group that the topic does not have: nobody will handle it. Not
    /// repaired: create the topic or the group.
    #[error("the event's queue {queue:?} does not exist")]
    EventWithoutQueue {
        /// The queue.
        queue: String,
    },

    /// An event that is in another partition than the others of its entity. A repair moves it.
    #[error("the event is in partition {found}, its entity {entity:?} belongs in {expected}")]
    Partition {
        /// Where it is.
        found: u16,
        /// Where it should be.
        expected: u16,
        /// Its entity.
        entity: String,
    },

    /// Rows of an event store that does not exist and was not deleted either. Not repaired.
    #[error("there is no event store with the number {store:016x}")]
    UnknownStore {
        /// The store's number.
        store: u64,
    },

    /// Events of a store that are missing. Not repaired.
    #[error("the events from sequence {from} to {to} are missing")]
    Hole {
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },

    /// An event of a store that was dropped, or comes after the last one. Not repaired.
    #[error("the event with sequence {sequence} should not be there: the store has those from {first} to {last}")]
    BeyondStore {
        /// The event's sequence.
        sequence: u64,
        /// The first that the store has.
        first: u64,
        /// The last.
        last: u64,
    },

    /// A companion row of a store's event is missing or different: the event among those of its entity, or its id. If
    /// it is missing, a repair writes it from the event.
    #[error("it does not match the event {event}")]
    NotAsTheEvent {
        /// The key of the event.
        event: KeyText,
    },

    /// A companion row of a store's event that does not exist. Not repaired.
    #[error("its event {event} does not exist")]
    WithoutEvent {
        /// The key of the event.
        event: KeyText,
    },

    /// A projection that has folded more than its store has. Not repaired: rebuild it, which only its application can.
    #[error("the projection has folded up to sequence {sequence}, the store ends at {last}")]
    ProjectionAhead {
        /// Up to where it has folded.
        sequence: u64,
        /// The last sequence of the store.
        last: u64,
    },

    /// The data of an event of a store is not as its registered type says, or the type's validator refuses it. Not repaired:
    /// an upcaster, a type that can read it, or the erasure of its entity is for the application to bring.
    #[error("{reason}")]
    Data {
        /// The event, and why.
        reason: String,
    },

    /// A model can't be folded from the events of a store. Not repaired.
    #[error("{reason}")]
    Fold {
        /// The model, the event at which it ends, and why.
        reason: String,
    },

    /// A snapshot of a model is not what the events up to its sequence fold into. A repair deletes it, unless it stands in
    /// for events that were dropped: the model is folded anew.
    #[error("{reason}")]
    Snapshot {
        /// The model, the sequence, and why.
        reason: String,
    },
}
