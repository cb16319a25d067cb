#![allow(clippy::unwrap_used, clippy::panic)]

mod codecs;
mod registry;
mod upcasting;

use std::collections::BTreeMap;
use std::error::Error;

use tito_core::Timestamp;

use super::Codec;
use crate::event::{Event, Fields, encode};

/// A stored event.
fn stored(event_type: &str, version: u32, codec: Codec, data: &[u8]) -> Event {
    let metadata = BTreeMap::from([("user".to_string(), "ada".to_string())]);
    let value = encode(&Fields {
        recorded: Timestamp::from_raw(5),
        time: 6,
        version,
        codec,
        id: "an-id",
        subject: &format!("account.17.{event_type}"),
        metadata: &metadata,
        data,
    });
    Event::decode(b"key", 9, value).unwrap()
}

/// What an error says, with what it stands on.
fn whole(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
