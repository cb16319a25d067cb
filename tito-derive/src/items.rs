//! What the attributes of all derives have in common: items between commas.

use proc_macro2::{Ident, TokenTree};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Token};

use crate::errors::Errors;

/// The `#[tito(...)]` among these.
pub(crate) fn attributes(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("tito"))
}

/// Reads the items of an attribute. A mistake in one does not hide those in the next.
pub(crate) fn of_attribute(
    attribute: &Attribute,
    errors: &mut Errors,
    one: impl FnMut(ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    let errors_before = errors.len();
    let parsed = attribute.parse_args_with(|input: ParseStream<'_>| {
        each(input, errors, one);
        Ok(())
    });
    // After a mistake, syn reports the tokens that were left behind it as well.
    if let Err(error) = parsed
        && errors.len() == errors_before
    {
        errors.push(error);
    }
}

/// `= value`.
pub(crate) fn value<T: Parse>(input: ParseStream<'_>) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

pub(crate) fn set<T>(option: &mut Option<T>, keyword: &Ident, value: T) -> syn::Result<()> {
    match option.replace(value) {
        Some(_) => Err(twice(keyword)),
        None => Ok(()),
    }
}

pub(crate) fn twice(keyword: &Ident) -> syn::Error {
    syn::Error::new(keyword.span(), format!("`{keyword}` is given twice"))
}

/// Reads items between commas to the end of the input. After a mistake it goes on behind the next comma.
pub(crate) fn each(
    input: ParseStream<'_>,
    errors: &mut Errors,
    mut one: impl FnMut(ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    while !input.is_empty() {
        let mut read = one(input, errors);
        if read.is_ok() && !input.is_empty() && !input.peek(Token![,]) {
            read = Err(input.error("expected `,`"));
        }
        if let Err(error) = read {
            errors.push(error);
            skip_item(input);
        }
        // Only a comma or the end is left here; at the end nothing is read.
        let _ = input.parse::<Option<Token![,]>>();
    }
}

/// Skips what is left of an item, up to its comma.
pub(crate) fn skip_item(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        // The input is not empty, so there is a token.
        let _ = input.parse::<TokenTree>();
    }
}
