//! The code that prost's derive generates for a message: the part for the fields that this crate knows. The build
//! script explains how the complete message is built from it.
use std::fmt::{self, Debug};
use std::marker::PhantomData;

pub(crate) use prost::*;

use self::bytes::{Buf, BufMut};
use self::encoding::{DecodeContext, WireType};

/// Takes the place of `prost::Message` where the derive looks for it.
pub(crate) trait Message {
    /// Writes all fields.
    fn encode_raw(&self, buf: &mut impl BufMut);

    /// Reads a field with a known number.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError>;

    /// The length of all fields.
    fn encoded_len(&self) -> usize;

    /// Sets all fields to their defaults.
    fn clear(&mut self);
}

/// An enumeration's values, which are numbers in a message, by name.
pub(crate) struct Named<'a, T, E>(&'a T, PhantomData<E>);

impl<'a, T, E> Named<'a, T, E> {
    pub(crate) fn new(value: &'a T) -> Self {
        Self(value, PhantomData)
    }
}

impl<E: TryFrom<i32> + Debug> Debug for Named<'_, i32, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match E::try_from(*self.0) {
            Ok(value) => value.fmt(formatter),
            Err(_) => self.0.fmt(formatter),
        }
    }
}

impl<E: TryFrom<i32> + Debug> Debug for Named<'_, Vec<i32>, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(Named::<_, E>::new)).finish()
    }
}
