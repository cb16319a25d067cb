//! `tito-eventstore` under another name, and re-exported by another module.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]

extern crate tito_eventstore as renamed;

mod framework {
    pub(crate) mod tito {
        pub(crate) use renamed::*;
    }
}

/// Not the crate that is meant.
mod tito_eventstore {}

/// Nor this one.
mod serde {}

use renamed::TitoEventType;
use renamed::types::EventData;

#[derive(TitoEventType)]
#[tito(crate = renamed)]
enum AccountEvent {
    Opened { owner: String },
    Closed,
}

#[derive(TitoEventType)]
#[tito(crate = crate::framework::tito, codec = "messagepack")]
enum OrderEvent {
    Placed { number: u64 },
}

fn main() {
    let opened = AccountEvent::Opened { owner: String::new() };
    assert_eq!(opened.event_type().name, "opened");
    assert_eq!(AccountEvent::Closed.event_type().name, "closed");
    assert!(OrderEvent::Placed { number: 5 }.encode().is_ok());
}
