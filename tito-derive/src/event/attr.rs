//! Parses `#[tito(...)]`.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Attribute, Path, Token};

use super::ast::Item;
use crate::errors::Errors;
use crate::items::{self, value};

/// Where an attribute stands, which decides what it can say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventTarget {
    Enum,
    Struct,
    Variant,
    Field,
}

impl EventTarget {
    fn known(self) -> &'static str {
        match self {
            Self::Enum => "an enum of events takes `codec`, `validate`, `crate`; its variants take more",
            Self::Struct => "an event takes `name`, `version`, `codec`, `sample`, `validate`, `crate`",
            Self::Variant => "a variant takes `name`, `version`, `codec`, `sample`",
            Self::Field => "a field of an event takes `sample`",
        }
    }
}

/// The items of all `tito` attributes among these.
pub(crate) fn parse(attributes: &[Attribute], place: EventTarget, errors: &mut Errors) -> Vec<Item> {
    let mut items = Vec::new();
    for attribute in items::attributes(attributes) {
        items::of_attribute(attribute, errors, |input, _| {
            items.push(item(input, place)?);
            Ok(())
        });
    }
    items
}

fn item(input: ParseStream<'_>, place: EventTarget) -> syn::Result<Item> {
    let keyword = input.call(Ident::parse_any)?;
    Ok(match (keyword.to_string().as_str(), place) {
        ("name", EventTarget::Struct | EventTarget::Variant) => Item::Name(keyword, value(input)?),
        ("version", EventTarget::Struct | EventTarget::Variant) => Item::Version(keyword, value(input)?),
        ("codec", EventTarget::Enum | EventTarget::Struct | EventTarget::Variant) => {
            Item::Codec(keyword, value(input)?)
        }
        ("sample", EventTarget::Struct | EventTarget::Variant | EventTarget::Field) => {
            Item::Sample(keyword, value(input)?)
        }
        ("validate", EventTarget::Enum | EventTarget::Struct) => Item::Validate(keyword),
        ("crate", EventTarget::Enum | EventTarget::Struct) => {
            input.parse::<Token![=]>()?;
            Item::Crate(keyword, input.call(Path::parse_mod_style)?)
        }
        (unknown, _) => {
            return Err(syn::Error::new(keyword.span(), format!("unknown attribute `{unknown}`: {}", place.known())));
        }
    })
}
