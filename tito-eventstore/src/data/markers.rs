//! The codecs as types.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tito_core::{BoxError, row};

use super::codec::{Codec, CodecOf};

/// JSON by serde, for types that implement `Serialize` and `DeserializeOwned`.
///
/// ```
/// use tito_eventstore::types::{CodecOf, Json};
///
/// let bytes = Json::encode(&vec![1, 2])?;
/// assert_eq!(bytes, b"[1,2]");
/// let numbers: Vec<i32> = Json::decode(&bytes)?;
/// assert_eq!(numbers, [1, 2]);
/// # Ok::<(), tito_core::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl<T: Serialize + DeserializeOwned> CodecOf<T> for Json {
    const CODEC: Codec = Codec::Json;

    fn encode(value: &T) -> Result<Vec<u8>, BoxError> {
        write_json(value)
    }

    fn decode(bytes: &[u8]) -> Result<T, BoxError> {
        read_json(bytes)
    }
}

/// A value as JSON. What derives write for variants can't be read, nor the other way round.
pub fn write_json<T: Serialize>(value: &T) -> Result<Vec<u8>, BoxError> {
    Ok(row::encode_checked("the event's data", value)?)
}

/// A value of JSON.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BoxError> {
    Ok(row::read(bytes)?)
}

/// MessagePack by serde, for types that implement `Serialize` and `DeserializeOwned`. Fields are written with their
/// names, so that fields with a `#[serde(default)]` can be added later. Values can be nested 128 deep, as in JSON.
///
/// ```
/// use tito_eventstore::types::{CodecOf, MessagePack};
///
/// let bytes = MessagePack::encode(&vec![1, 2])?;
/// let numbers: Vec<i32> = MessagePack::decode(&bytes)?;
/// assert_eq!(numbers, [1, 2]);
/// # Ok::<(), tito_core::BoxError>(())
/// ```
#[cfg(feature = "messagepack")]
#[derive(Clone, Copy, Debug)]
pub struct MessagePack;

/// The library's own limit needs more stack than threads have by default where a level has a large frame.
#[cfg(feature = "messagepack")]
const DEEPEST: usize = 128;

#[cfg(feature = "messagepack")]
impl<T: Serialize + DeserializeOwned> CodecOf<T> for MessagePack {
    const CODEC: Codec = Codec::MessagePack;

    fn encode(value: &T) -> Result<Vec<u8>, BoxError> {
        write_messagepack(value)
    }

    fn decode(bytes: &[u8]) -> Result<T, BoxError> {
        read_messagepack(bytes)
    }
}

/// A value as MessagePack.
#[cfg(feature = "messagepack")]
pub fn write_messagepack<T: Serialize>(value: &T) -> Result<Vec<u8>, BoxError> {
    Ok(rmp_serde::to_vec_named(value)?)
}

/// A value of MessagePack.
#[cfg(feature = "messagepack")]
pub fn read_messagepack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BoxError> {
    let mut deserializer = rmp_serde::Deserializer::new(bytes);
    deserializer.set_max_depth(DEEPEST);
    let value = T::deserialize(&mut deserializer)?;
    match deserializer.get_ref().len() {
        0 => Ok(value),
        left => Err(format!("{left} bytes are left behind the value").into()),
    }
}

/// Protobuf, for messages of prost.
///
/// ```
/// use tito_eventstore::types::{CodecOf, Protobuf};
///
/// // prost implements its messages for the wrapped types of Protobuf too.
/// let bytes = Protobuf::encode(&"ada".to_string())?;
/// let name: String = Protobuf::decode(&bytes)?;
/// assert_eq!(name, "ada");
/// # Ok::<(), tito_core::BoxError>(())
/// ```
#[cfg(feature = "protobuf")]
#[derive(Clone, Copy, Debug)]
pub struct Protobuf;

#[cfg(feature = "protobuf")]
impl<T: prost::Message + Default> CodecOf<T> for Protobuf {
    const CODEC: Codec = Codec::Protobuf;

    fn encode(value: &T) -> Result<Vec<u8>, BoxError> {
        Ok(value.encode_to_vec())
    }

    fn decode(bytes: &[u8]) -> Result<T, BoxError> {
        Ok(T::decode(bytes)?)
    }
}

/// The type's own bytes, for types that implement [`BinaryData`].
///
/// ```
/// use tito_eventstore::types::{Binary, CodecOf};
///
/// assert_eq!(Binary::encode(&vec![1, 2])?, [1, 2]);
/// # Ok::<(), tito_core::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Binary;

impl<T: BinaryData> CodecOf<T> for Binary {
    const CODEC: Codec = Codec::Binary;

    fn encode(value: &T) -> Result<Vec<u8>, BoxError> {
        Ok(value.to_bytes())
    }

    fn decode(bytes: &[u8]) -> Result<T, BoxError> {
        T::from_bytes(bytes)
    }
}

/// A type that converts its values to bytes itself.
///
/// ```
/// use tito_core::{BoxError, row};
/// use tito_eventstore::types::BinaryData;
///
/// /// An amount of money.
/// struct Cents(u64);
///
/// impl BinaryData for Cents {
///     fn to_bytes(&self) -> Vec<u8> {
///         self.0.to_be_bytes().to_vec()
///     }
///
///     fn from_bytes(bytes: &[u8]) -> Result<Self, BoxError> {
///         Ok(Self(u64::from_be_bytes(bytes.try_into()?)))
///     }
/// }
///
/// assert_eq!(Cents::from_bytes(&Cents(5).to_bytes())?.0, 5);
/// assert!(Cents::from_bytes(b"short").is_err());
/// # Ok::<(), BoxError>(())
/// ```
pub trait BinaryData: Sized {
    /// The value as bytes.
    fn to_bytes(&self) -> Vec<u8>;

    /// The value that the bytes stand for.
    ///
    /// # Errors
    /// What is wrong with the bytes. They can be anything: this must not panic.
    fn from_bytes(bytes: &[u8]) -> Result<Self, BoxError>;
}

/// The bytes as they are.
impl BinaryData for Vec<u8> {
    fn to_bytes(&self) -> Vec<u8> {
        self.clone()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, BoxError> {
        Ok(bytes.to_vec())
    }
}

/// UTF-8.
impl BinaryData for String {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, BoxError> {
        Ok(std::str::from_utf8(bytes)?.to_string())
    }
}

/// No bytes.
impl BinaryData for () {
    fn to_bytes(&self) -> Vec<u8> {
        Vec::new()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, BoxError> {
        match bytes.len() {
            0 => Ok(()),
            length => Err(format!("expected no bytes, there are {length}").into()),
        }
    }
}
