//! Types of serde that stand for the fields of variants, so that the enum itself needs no serde.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

use super::ast::{Body, Field, Input, Shape};
use super::model::{Data, Event, Model, Sampled};
use crate::errors::Errors;

/// What the attributes of a variant and of its enum say about the names of the variant's fields, as attributes of a
/// struct. The rest of them is for the enum's own serde, if it has any.
pub(crate) fn attributes(of_variant: &[Attribute], of_enum: &[Attribute], errors: &mut Errors) -> Vec<Attribute> {
    let mut kept = with_names(of_variant, &["rename_all"], errors);
    if kept.is_empty() {
        for mut meta in with_names(of_enum, &["rename_all_fields"], errors) {
            rename(&mut meta, "rename_all");
            kept.push(meta);
        }
    }
    kept.into_iter().map(|meta| syn::parse_quote!(#[serde(#meta)])).collect()
}

fn with_names(attributes: &[Attribute], names: &[&str], errors: &mut Errors) -> Vec<Meta> {
    let mut kept = Vec::new();
    for attribute in attributes {
        match attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) {
            Ok(all) => kept.extend(all.into_iter().filter(|meta| names.iter().any(|name| meta.path().is_ident(name)))),
            Err(error) => errors.push(error),
        }
    }
    kept
}

fn rename(meta: &mut Meta, name: &str) {
    let path = match meta {
        Meta::Path(path) => path,
        Meta::List(list) => &mut list.path,
        Meta::NameValue(pair) => &mut pair.path,
    };
    let span = path.get_ident().map_or_else(proc_macro2::Span::call_site, Ident::span);
    *path = Ident::new(name, span).into();
}

/// The name by which generated code finds serde: a path would have to be text for serde's own derives, which `$crate`
/// can't be.
pub(crate) fn import(model: &Model<'_>) -> TokenStream {
    let root = &model.root;
    quote!(use #root::__private::serde as __tito_serde;)
}

/// `__Object(&value)`, which writes the fields of those variants whose data is an object. Serde writes the enum itself
/// by a remote definition, so that what field attributes name sees the fields' own types.
pub(crate) fn writer(input: &Input, model: &Model<'_>) -> TokenStream {
    let ident = &input.ident;
    let Body::Enum(variants) = &input.body else { return TokenStream::new() };
    let remote = ident.to_string();
    let variants = variants.iter().zip(&model.events).map(|(variant, event)| {
        let ident = &variant.ident;
        match (&event.data, &variant.shape) {
            (Data::Object { fields, serde }, _) => {
                let fields = fields.iter().map(|field| declared(field, input));
                quote!(#(#serde)* #ident { #(#fields),* })
            }
            (_, Shape::Newtype(field)) => {
                let ty = without_self(field.ty.to_token_stream(), &input.ident);
                quote!(#[serde(skip)] #ident(#ty))
            }
            _ => quote!(#[serde(skip)] #ident),
        }
    });
    let import = import(model);
    quote! {
        #import

        #[derive(__tito_serde::Serialize)]
        #[serde(crate = "__tito_serde", remote = #remote, untagged)]
        enum __Variants {
            #(#variants),*
        }

        struct __Object<'a>(&'a #ident);

        impl __tito_serde::Serialize for __Object<'_> {
            fn serialize<S: __tito_serde::Serializer>(
                &self,
                __serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                __Variants::serialize(self.0, __serializer)
            }
        }
    }
}

/// `struct __Fields`, which is read from the object of a variant's fields.
pub(crate) fn reader(input: &Input, event: &Event<'_>, fields: &[Sampled<'_>], serde: &[Attribute]) -> TokenStream {
    let expecting = format!("the fields of an event {:?}", event.name);
    let fields = fields.iter().map(|field| declared(field, input));
    quote! {
        #[derive(__tito_serde::Deserialize)]
        #[serde(crate = "__tito_serde", expecting = #expecting)]
        #(#serde)*
        struct __Fields {
            #(#fields),*
        }
    }
}

fn declared(sampled: &Sampled<'_>, input: &Input) -> TokenStream {
    let Field { ident, ty, serde, .. } = sampled.field;
    let ty = without_self(ty.to_token_stream(), &input.ident);
    quote!(#(#serde)* #ident: #ty)
}

/// Within a shadow, `Self` would be the shadow.
fn without_self(tokens: TokenStream, ident: &Ident) -> TokenStream {
    let replace = |tree| match tree {
        TokenTree::Ident(word) if word == "Self" => {
            let mut ident = ident.clone();
            ident.set_span(word.span());
            TokenTree::Ident(ident)
        }
        TokenTree::Group(group) => {
            let mut inner = proc_macro2::Group::new(group.delimiter(), without_self(group.stream(), ident));
            inner.set_span(group.span());
            TokenTree::Group(inner)
        }
        other => other,
    };
    tokens.into_iter().map(replace).collect()
}
