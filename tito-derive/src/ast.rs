//! The input as parsed: what the user wrote, not yet checked.

use proc_macro2::Ident;
use syn::punctuated::Punctuated;
use syn::{Attribute, Data, DeriveInput, Expr, Fields, Generics, LitStr, Member, Meta, Path, Token, Type, Visibility};

use crate::attr::{self, ModelTarget};
use crate::errors::Errors;

/// The type that derives the model.
pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) generics: Generics,
    pub(crate) items: Vec<Item>,
    /// `None` if the type is not a struct with named fields, which was reported.
    pub(crate) fields: Option<Vec<Field>>,
    pub(crate) is_union: bool,
}

/// A named field.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) items: Vec<Item>,
    /// The word by which serde is told to leave the field out, if it is: `skip`, `skip_serializing` or
    /// `skip_deserializing`.
    pub(crate) skipped: Option<String>,
}

/// One item of a `#[tito(...)]`. Each keeps the word that it began with, for errors.
pub(crate) enum Item {
    Table(Ident, LitStr),
    Crate(Ident, Path),
    Entity(Ident, Expr),
    Id(Ident),
    Index(IndexItem),
    Event(EventItem),
}

/// `index` or `index(...)`.
pub(crate) struct IndexItem {
    pub(crate) keyword: Ident,
    pub(crate) name: Option<LitStr>,
    pub(crate) fields: Option<(Ident, Vec<FieldPath>)>,
    pub(crate) unique: bool,
    pub(crate) when: Option<Expr>,
}

/// `email`, or `address.city: String`.
pub(crate) struct FieldPath {
    pub(crate) field: Ident,
    pub(crate) inner: Vec<Member>,
    pub(crate) ty: Option<Type>,
}

/// `event = "..."` with the options that follow it.
pub(crate) struct EventItem {
    pub(crate) name: LitStr,
    pub(crate) on: Option<(Ident, Vec<Ident>)>,
    pub(crate) delay: Option<LitStr>,
    pub(crate) at: Option<(Ident, Expr)>,
    pub(crate) when: Option<Expr>,
}

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
