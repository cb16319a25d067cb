//! `#[derive(TitoJob)]`: topics as types.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{DeriveInput, Expr, LitInt, LitStr, Path, Token, parse_quote};

use crate::errors::Errors;
use crate::items::{self, set, value};
use crate::text;

const KNOWN: &str = "a job takes `topic`, `version`, `upcast`, `settings`, `crate`";

#[derive(Default)]
struct Options {
    topic: Option<LitStr>,
    version: Option<LitInt>,
    upcast: Option<Expr>,
    settings: Option<Expr>,
    root: Option<Path>,
}

impl Options {
    fn read(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let keyword = input.call(Ident::parse_any)?;
        match keyword.to_string().as_str() {
            "topic" => set(&mut self.topic, &keyword, value(input)?),
            "version" => set(&mut self.version, &keyword, value(input)?),
            "upcast" => set(&mut self.upcast, &keyword, value(input)?),
            "settings" => set(&mut self.settings, &keyword, value(input)?),
            "crate" => {
                input.parse::<Token![=]>()?;
                set(&mut self.root, &keyword, input.call(Path::parse_mod_style)?)
            }
            unknown => Err(syn::Error::new(keyword.span(), format!("unknown attribute `{unknown}`: {KNOWN}"))),
        }
    }
}

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let (mut errors, mut options) = (Errors::default(), Options::default());
    for attribute in items::attributes(&input.attrs) {
        items::of_attribute(attribute, &mut errors, |input, _| options.read(input));
    }
    let ident = &input.ident;
    let name = match &options.topic {
        Some(topic) => topic.value(),
        None => text::snake_case(&ident.unraw().to_string()),
    };
    if let Some(fault) = text::event_name_fault(&name) {
        let message = format!("a topic can't have the name {name:?}: {fault}");
        match &options.topic {
            Some(topic) => errors.at(topic, message),
            None => errors.at(ident, message),
        }
    }
    let version = options.version.as_ref().map_or(1_u32, |literal| match literal.base10_parse() {
        Ok(version) if version > 0 => version,
        _ => {
            errors.at(literal, format!("expected a version, 1 to {}", u32::MAX));
            1
        }
    });
    if let (1, Some(upcast)) = (version, &options.upcast) {
        errors.at(upcast, "version 1 has none before it to bring up: give `version = 2`");
    }
    let root = options.root.unwrap_or_else(|| parse_quote!(::tito_worker));
    let upcast = options.upcast.map(|upcast| {
        quote! {
            fn upcast(
                from: ::core::primitive::u32,
                payload: #root::__private::Value,
            ) -> ::core::result::Result<#root::__private::Value, #root::__private::BoxError> {
                (#upcast)(from, payload)
            }
        }
    });
    let settings = options.settings.map(|settings| {
        quote! {
            fn settings() -> #root::Subscription {
                (#settings)()
            }
        }
    });
    let (generics, types, bounds) = input.generics.split_for_impl();
    // With mistakes too, so that they are the only errors.
    let errors = errors.into_compile_errors();
    quote! {
        #errors

        impl #generics #root::TitoJob for #ident #types #bounds {
            const NAME: &'static ::core::primitive::str = #name;
            const VERSION: ::core::primitive::u32 = #version;
            #settings
            #upcast
        }
    }
}
