//! The input as parsed: what the user wrote, not yet checked.

use proc_macro2::Ident;
use syn::{Attribute, Data, DeriveInput, Expr, Fields, Generics, LitInt, LitStr, Path, Type};

use super::attr::{self, EventTarget};
use crate::errors::Errors;

/// The type that derives the events.
pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) items: Vec<Item>,
    /// Its `#[serde(...)]`.
    pub(crate) serde: Vec<Attribute>,
    pub(crate) body: Body,
}

/// What it is made of.
pub(crate) enum Body {
    Enum(Vec<Variant>),
    Struct(Shape),
    Union,
}

/// A variant of an enum.
pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) items: Vec<Item>,
    pub(crate) serde: Vec<Attribute>,
    pub(crate) shape: Shape,
}

/// The fields of a variant or a struct.
pub(crate) enum Shape {
    Unit,
    Newtype(Box<Field>),
    Named(Vec<Field>),
    /// None or several fields without names.
    Tuple(Vec<Field>),
}

/// A field.
pub(crate) struct Field {
    /// None within a tuple.
    pub(crate) ident: Option<Ident>,
    pub(crate) ty: Type,
    pub(crate) items: Vec<Item>,
    pub(crate) serde: Vec<Attribute>,
}

/// One item of a `#[tito(...)]`, with the word that it began with, for errors.
pub(crate) enum Item {
    Name(Ident, LitStr),
    Version(Ident, LitInt),
    Codec(Ident, LitStr),
    Sample(Ident, Expr),
    Validate(Ident),
    Crate(Ident, Path),
}

impl Input {
    /// Reads the type and its attributes; what can't be read is reported and left out.
    pub(crate) fn parse(input: DeriveInput, errors: &mut Errors) -> Self {
        let place = if matches!(input.data, Data::Enum(_)) { EventTarget::Enum } else { EventTarget::Struct };
        let items = attr::parse(&input.attrs, place, errors);
        let body = match input.data {
            Data::Enum(data) => {
                Body::Enum(data.variants.into_iter().map(|variant| Variant::parse(variant, errors)).collect())
            }
            Data::Struct(data) => Body::Struct(Shape::parse(data.fields, errors)),
            Data::Union(_) => Body::Union,
        };
        Self { ident: input.ident, generics: input.generics, items, serde: serde(&input.attrs), body }
    }
}

impl Variant {
    fn parse(variant: syn::Variant, errors: &mut Errors) -> Self {
        Self {
            ident: variant.ident,
            items: attr::parse(&variant.attrs, EventTarget::Variant, errors),
            serde: serde(&variant.attrs),
            shape: Shape::parse(variant.fields, errors),
        }
    }
}

impl Shape {
    fn parse(fields: Fields, errors: &mut Errors) -> Self {
        match fields {
            Fields::Unit => Self::Unit,
            Fields::Named(fields) => Self::Named(Field::parse_all(fields.named, errors)),
            Fields::Unnamed(fields) => {
                let mut fields = Field::parse_all(fields.unnamed, errors);
                match (fields.pop(), fields.is_empty()) {
                    (Some(field), true) => Self::Newtype(Box::new(field)),
                    (last, _) => {
                        fields.extend(last);
                        Self::Tuple(fields)
                    }
                }
            }
        }
    }
}

impl Field {
    fn parse_all(fields: impl IntoIterator<Item = syn::Field>, errors: &mut Errors) -> Vec<Self> {
        let parse = |field: syn::Field| Self {
            items: attr::parse(&field.attrs, EventTarget::Field, errors),
            serde: serde(&field.attrs),
            ident: field.ident,
            ty: field.ty,
        };
        fields.into_iter().map(parse).collect()
    }
}

fn serde(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("serde")).cloned().collect()
}
