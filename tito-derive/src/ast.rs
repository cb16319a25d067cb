//! The input as parsed: what the user wrote, not yet checked.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::{Expr, ExprPath, Generics, LitStr, Member, Path, Type, Visibility};

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
    Owner(Ident, Expr),
    Id(Ident),
    Index(IndexItem),
    Event(Box<EventItem>),
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

/// How an event's topic is named.
pub(crate) enum TopicName {
    /// `"order"`.
    Literal(LitStr),
    /// `OrderPlaced::NAME`.
    Constant(ExprPath),
}

impl ToTokens for TopicName {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Literal(name) => name.to_tokens(tokens),
            Self::Constant(path) => path.to_tokens(tokens),
        }
    }
}

/// `event = ...` with the options that follow it.
pub(crate) struct EventItem {
    pub(crate) name: TopicName,
    pub(crate) on: Option<(Ident, Vec<Ident>)>,
    pub(crate) delay: Option<LitStr>,
    pub(crate) at: Option<(Ident, Expr)>,
    pub(crate) when: Option<Expr>,
}
