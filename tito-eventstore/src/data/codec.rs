//! How the data of events is written.

use std::fmt;

use tito_core::BoxError;

/// How the data of an event is written. Stored with every event.
///
/// ```
/// use tito_eventstore::types::Codec;
///
/// assert_eq!(Codec::MessagePack.to_string(), "MessagePack");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Bytes that the type itself writes and reads ([`BinaryData`](super::BinaryData)).
    Binary,
    /// JSON, by serde.
    Json,
    /// MessagePack with named fields, by serde.
    MessagePack,
    /// Protobuf, by prost.
    Protobuf,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary => "bytes",
            Self::Json => "JSON",
            Self::MessagePack => "MessagePack",
            Self::Protobuf => "Protobuf",
        })
    }
}

/// Writes and reads values of one type: [`Json`](super::Json), [`MessagePack`](super::MessagePack),
/// [`Protobuf`](super::Protobuf) or [`Binary`](super::Binary). An application's own codec is one of these four with
/// something done to its bytes, such as compression.
///
/// ```
/// use tito_core::BoxError;
/// use tito_eventstore::types::{Codec, CodecOf, ForeignType, Registry};
///
/// /// Numbers as text.
/// struct Decimal;
///
/// impl CodecOf<u64> for Decimal {
///     const CODEC: Codec = Codec::Binary;
///
///     fn encode(value: &u64) -> Result<Vec<u8>, BoxError> {
///         Ok(value.to_string().into_bytes())
///     }
///
///     fn decode(bytes: &[u8]) -> Result<u64, BoxError> {
///         Ok(std::str::from_utf8(bytes)?.parse()?)
///     }
/// }
///
/// let registry = Registry::builder().register::<Decimal, u64>("counted", 17).build()?;
/// # Ok::<(), tito_eventstore::EventStoreError>(())
/// ```
pub trait CodecOf<T> {
    /// Which one it is.
    const CODEC: Codec;

    /// The value as bytes.
    ///
    /// # Errors
    /// Those of the codec.
    fn encode(value: &T) -> Result<Vec<u8>, BoxError>;

    /// The value that the bytes stand for.
    ///
    /// # Errors
    /// Those of the codec.
    fn decode(bytes: &[u8]) -> Result<T, BoxError>;
}
