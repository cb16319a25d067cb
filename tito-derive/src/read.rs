//! Reads a type and its attributes.

use syn::punctuated::Punctuated;
use syn::{Attribute, Data, DeriveInput, Fields, Meta, Token};

use crate::ast::{Field, Input};
use crate::attr::{self, ModelTarget};
use crate::errors::Errors;

impl Input {
    /// Reads the type and its attributes; what can't be read is reported and left out.
    pub(crate) fn parse(input: DeriveInput, errors: &mut Errors) -> Self {
        let items = attr::parse(&input.attrs, ModelTarget::Container, errors);
        let is_union = matches!(input.data, Data::Union(_));
        let fields = match input.data {
            Data::Struct(data) => match data.fields {
                Fields::Named(fields) => Some(fields.named.into_iter().collect::<Vec<_>>()),
                Fields::Unnamed(_) => {
                    errors.at(&input.ident, "a model is a struct with named fields, this one is a tuple struct");
                    None
                }
                Fields::Unit => {
                    errors.at(&input.ident, "a model is a struct with named fields, this one has no fields");
                    None
                }
            },
            Data::Enum(_) => {
                errors.at(&input.ident, "a model is a struct with named fields, this is an enum");
                None
            }
            Data::Union(_) => {
                errors.at(&input.ident, "a model is a struct with named fields, this is a union");
                None
            }
        };
        let fields = fields.map(|fields| fields.into_iter().filter_map(|field| Field::parse(field, errors)).collect());
        Self { ident: input.ident, vis: input.vis, generics: input.generics, items, fields, is_union }
    }
}

impl Field {
    fn parse(field: syn::Field, errors: &mut Errors) -> Option<Self> {
        let items = attr::parse(&field.attrs, ModelTarget::Field, errors);
        let skipped = skipped(&field.attrs);
        Some(Self { ident: field.ident?, ty: field.ty, items, skipped })
    }
}

/// What serde does not understand of its attributes, it says itself.
fn skipped(attributes: &[Attribute]) -> Option<String> {
    const WORDS: [&str; 3] = ["skip", "skip_serializing", "skip_deserializing"];
    attributes.iter().filter(|attribute| attribute.path().is_ident("serde")).find_map(|attribute| {
        let items = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
        let word = |item: &Meta| WORDS.into_iter().find(|word| item.path().is_ident(word));
        items.iter().find_map(word).map(String::from)
    })
}
