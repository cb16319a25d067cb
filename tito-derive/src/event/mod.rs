//! `#[derive(TitoEventType)]`: `attr` and `ast` read, `valid` checks, `expand` and `shadow` write.

mod ast;
mod attr;
mod expand;
mod model;
mod shadow;
mod valid;

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::errors::Errors;
use ast::{Body, Input};

pub(crate) fn derive(input: DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let input = Input::parse(input, &mut errors);
    let model = valid::check(&input, &mut errors);
    match errors.into_compile_errors() {
        None => expand::implementation(&input, &model),
        // Without knowing the bounds that a generic type needs, nothing can stand in for the implementation; nor is a
        // union shared between threads.
        Some(errors) if !input.generics.params.is_empty() || matches!(input.body, Body::Union) => errors,
        Some(errors) => {
            let fallback = expand::fallback(&input, &model);
            quote!(#errors #fallback)
        }
    }
}
