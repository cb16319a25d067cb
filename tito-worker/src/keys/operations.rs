//! The keys of operations.

use tito_core::keys::KeyRange;
use tito_core::keys::build::{Kind, push_uuid, uuid};
use uuid::Uuid;

/// `!operation:{uuid}`: what an operator has begun that takes long.
pub fn operation(id: Uuid) -> Vec<u8> {
    let mut key = Kind::Operation.prefix().as_bytes().to_vec();
    push_uuid(&mut key, id);
    key
}

/// All operations, by the time at which they were begun.
pub fn operations() -> KeyRange {
    Kind::Operation.all()
}

/// The id in the key of an operation.
pub fn parse_operation(key: &[u8]) -> Option<Uuid> {
    uuid(Kind::Operation.strip(key)?)
}
