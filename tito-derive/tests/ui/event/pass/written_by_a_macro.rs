//! A macro of another crate's would find the event store by `$crate`.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
#![allow(clippy::unwrap_used)]

/// What a macro finds by `$crate`.
pub use tito_eventstore;

macro_rules! events {
    ($name:ident, $variant:ident, $field:ident: $ty:ty, $sample:expr) => {
        #[derive(Debug, PartialEq, tito_eventstore::TitoEventType)]
        #[tito(crate = $crate::tito_eventstore)]
        enum $name {
            $variant {
                #[serde(rename = "renamed")]
                #[tito(sample = $sample)]
                $field: $ty,
            },
        }
    };
}

events!(AccountEvent, Deposited, cents: u64, 5);

use tito_eventstore::types::EventData;

fn main() {
    let bytes = AccountEvent::Deposited { cents: 7 }.encode().unwrap();
    assert_eq!(bytes, br#"{"renamed":7}"#);
    assert_eq!(AccountEvent::samples(), [AccountEvent::Deposited { cents: 5 }]);
}
