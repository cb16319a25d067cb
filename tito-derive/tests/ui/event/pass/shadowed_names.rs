//! Names of the prelude that mean something else where the events stand.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
#![allow(dead_code)]

/// Events of an account.
pub mod account {
    use tito_eventstore::TitoEventType;

    struct Result;
    struct Option;
    struct Vec;
    struct Default;
    struct Ok;
    struct Err;
    struct Some;

    /// Its events.
    #[derive(TitoEventType)]
    pub enum AccountEvent {
        /// It was opened.
        Opened {
            /// Whose it is.
            owner: String,
        },
        /// Money came in.
        Deposited(u64),
        /// It was closed.
        Closed,
    }

    /// Named as what the derive writes might be.
    #[derive(TitoEventType)]
    pub enum Json {
        /// A variant named as a type.
        String {
            /// A field.
            string: String,
        },
        /// Another.
        MessagePack(String),
    }

    /// A struct.
    #[derive(TitoEventType)]
    pub struct Archived;
}

fn main() {
    fn is_data<T: tito_eventstore::types::EventData>() -> usize {
        T::EVENT_TYPES.len()
    }
    assert_eq!(is_data::<account::AccountEvent>() + is_data::<account::Json>() + is_data::<account::Archived>(), 6);
}
