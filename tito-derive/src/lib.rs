//! Derive.

mod ast;
mod attr;
mod errors;
mod expand;
mod model;
mod spans;
mod text;
mod valid;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::ast::Input;
use crate::errors::Errors;

/// Derive.
#[proc_macro_derive(TitoModel, attributes(tito))]
pub fn derive_tito_model(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let mut errors = Errors::default();
    let input = Input::parse(input, &mut errors);
    let model = valid::check(&input, &mut errors);
    let output = match errors.into_compile_errors() {
        None => expand::implementation(&input, &model),
        // A union has no serde implementation either, so that nothing can be a stand-in for the model.
        Some(errors) if input.is_union => errors,
        Some(errors) => {
            let fallback = expand::fallback(&input, &model);
            quote::quote!(#errors #fallback)
        }
    };
    output.into()
}
