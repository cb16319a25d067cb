//! How the data of events is written.

use std::fmt;

use tito_core::BoxError;

/// How the data of an event is written. Stored with every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Bytes that the type itself writes and reads ([`BinaryData`]).
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

/// Writes and reads values of one type: [`Json`], [`MessagePack`], [`Protobuf`] or [`Binary`].
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
