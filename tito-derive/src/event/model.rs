//! The events as checked: what the output is written from.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Attribute, Expr, Path};

use super::ast::Field;

/// A type of events. What had a mistake is left out of it.
pub(crate) struct Model<'a> {
    /// Where `tito-eventstore` is found.
    pub(crate) root: Path,
    /// The word by which the type asks to be validated.
    pub(crate) validate: Option<&'a Ident>,
    pub(crate) events: Vec<Event<'a>>,
}

/// An event type.
pub(crate) struct Event<'a> {
    /// None if the whole type is one.
    pub(crate) variant: Option<&'a Ident>,
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) codec: Codec,
    pub(crate) data: Data<'a>,
    pub(crate) sample: Option<&'a Expr>,
}

/// What of a value is the event's data.
pub(crate) enum Data<'a> {
    /// There is nothing more to say.
    Nothing,
    /// The one field without a name.
    Inner(Sampled<'a>),
    /// An object of the fields of a variant.
    Object { fields: Vec<Sampled<'a>>, serde: Vec<Attribute> },
    /// The value itself, a struct with these fields.
    Whole(Vec<Sampled<'a>>),
}

impl<'a> Data<'a> {
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Sampled<'a>> {
        match self {
            Self::Nothing => [].iter(),
            Self::Inner(field) => std::slice::from_ref(field).iter(),
            Self::Object { fields, .. } | Self::Whole(fields) => fields.iter(),
        }
    }
}

/// A field, and the expression that its sample is.
pub(crate) struct Sampled<'a> {
    pub(crate) field: &'a Field,
    pub(crate) sample: Option<&'a Expr>,
}

/// How data is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Json,
    MessagePack,
    Protobuf,
    Binary,
}

impl Codec {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "messagepack" => Self::MessagePack,
            "protobuf" => Self::Protobuf,
            "binary" => Self::Binary,
            _ => return None,
        })
    }

    /// Whether serde writes it.
    pub(crate) fn is_serde(self) -> bool {
        matches!(self, Self::Json | Self::MessagePack)
    }

    /// What both the marker type and the value are called.
    pub(crate) fn ident(self) -> TokenStream {
        match self {
            Self::Json => quote!(Json),
            Self::MessagePack => quote!(MessagePack),
            Self::Protobuf => quote!(Protobuf),
            Self::Binary => quote!(Binary),
        }
    }
}

impl Event<'_> {
    /// `Self` or `Self::Variant`: what patterns and values begin with.
    pub(crate) fn constructor(&self) -> TokenStream {
        let variant = self.variant.map(|variant| quote!(::#variant));
        quote!(Self #variant)
    }
}
