//! Who events belong to, so that everything of one owner can be found and erased.

use std::borrow::Cow;

use serde::Deserialize;
use uuid::Uuid;

use super::record::TitoEvent;
use crate::database::Transaction;
use crate::error::{Result, TitoError};
use crate::keys;
use crate::row::{self, StoredRow};

/// A longer owner would leave too little room in the keys of what it owns.
const LONGEST: usize = 512;

/// What can be the owner of a model's events: the value of `owner` in `#[tito(owner = ...)]`. A text, an integer, a
/// [`Uuid`], or an [`Option`] of one, where `None` is nobody.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the owner of events",
    label = "expected a text, an integer, a `Uuid`, or an `Option` of one"
)]
pub trait EventOwner {
    /// The owner's name; `None` if the events are nobody's.
    fn owner(&self) -> Option<String>;
}

macro_rules! owners {
    ($($name:ty)*) => {$(
        impl EventOwner for $name {
            fn owner(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

owners!(str String Cow<'_, str> Uuid u16 u32 u64 u128 i16 i32 i64 i128);

/// `None` is nobody.
impl<T: EventOwner> EventOwner for Option<T> {
    fn owner(&self) -> Option<String> {
        self.as_ref().and_then(T::owner)
    }
}

impl<T: EventOwner + ?Sized> EventOwner for &T {
    fn owner(&self) -> Option<String> {
        (**self).owner()
    }
}

/// Checks an owner: any text of 1 to 512 bytes.
///
/// # Errors
/// [`TitoError::InvalidName`].
pub fn check_owner(owner: &str) -> Result<()> {
    let reason = match owner.len() {
        0 => "it is empty",
        1..=LONGEST => return Ok(()),
        _ => "it is longer than 512 bytes",
    };
    Err(TitoError::InvalidName { what: "owner", name: owner.chars().take(255).collect(), reason })
}

/// The owner of the event that is stored as these bytes, if it names one; `None` for bytes that are not an event. Costs
/// next to nothing if there is none.
pub fn owner_of(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Owned {
        #[serde(default)]
        owner: Option<String>,
    }
    const MEMBER: &[u8] = b"\"owner\"";
    // Most events have none, and this is asked wherever one is put aside.
    bytes.windows(MEMBER.len()).any(|window| window == MEMBER).then_some(())?;
    row::decode::<Owned>(b"", TitoEvent::EXPECTED, bytes).ok()?.owner
}

/// Records in a transaction that what it stores under a key belongs to an owner.
///
/// # Errors
/// [`TitoError::LimitExceeded`] for a key that is too long with the owner in front, and those of the engine.
pub async fn note_owner(tx: &Transaction, owner: &str, key: &[u8]) -> Result<()> {
    tx.system_keys().put(keys::owned(owner, key), b"{}".to_vec()).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_owner_is_the_events_own_and_no_other_text() {
        for (bytes, owner) in [
            (r#"{"owner":"ada"}"#, Some("ada")),
            (r#"{"payload":{"owner":"bob"},"owner": "a\"d:a 🎈"}"#, Some("a\"d:a 🎈")),
            (r#"{"payload":{"owner":"bob"}}"#, None),
            (r#"{"payload":"\"owner\""}"#, None),
            (r#"{"owner":17}"#, None),
            (r#"{"owner":"#, None),
            ("", None),
        ] {
            assert_eq!(owner_of(bytes.as_bytes()).as_deref(), owner, "{bytes}");
        }
    }

    #[test]
    fn an_owner_is_any_text_of_a_length() {
        for owner in ["a", ":", "\0!;\"", "🎈", &"x".repeat(512)] {
            check_owner(owner).unwrap();
        }
        for owner in ["", &"x".repeat(513), &"🎈".repeat(129)] {
            let error = check_owner(owner).unwrap_err();
            assert!(matches!(error, TitoError::InvalidName { what: "owner", .. }), "{error}");
        }
    }
}
