//! Refuses models that rest on fields which serde leaves out: what is indexed and told in events is computed from what is
//! stored, where such a field has its default value, whatever it was when the row was written.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::Expr;
use syn::ext::IdentExt;

use crate::ast::{Field, Input, Item};
use crate::errors::Errors;

/// Reports every use of a field that is left out.
pub(crate) fn refuse(input: &Input, id: Option<&Field>, errors: &mut Errors) {
    let fields = input.fields.as_deref().unwrap_or_default();
    let skipped: Vec<_> = fields.iter().filter_map(|field| Some((field, field.skipped.as_deref()?))).collect();
    if skipped.is_empty() {
        return;
    }
    for (field, word) in &skipped {
        let name = field.ident.unraw();
        if id.is_some_and(|id| id.ident == field.ident) {
            errors.at(
                &field.ident,
                format!("`{name}` is the id, but `#[serde({word})]` leaves it out of what is stored"),
            );
        }
        for item in &field.items {
            match item {
                Item::Index(index) => errors.at(&index.keyword, reason(field, word, "is indexed")),
                Item::Event(event) => errors.at(&event.name, reason(field, word, "has an event")),
                _ => {}
            }
        }
    }
    for item in input.items.iter().chain(fields.iter().flat_map(|field| &field.items)) {
        match item {
            Item::Entity(_, whose) | Item::Owner(_, whose) => refuse_in(whose, &skipped, errors),
            Item::Index(index) => {
                for path in index.fields.iter().flat_map(|(_, paths)| paths) {
                    if let Some((field, word)) = skipped.iter().find(|(field, _)| names(field, &path.field)) {
                        errors.at(&path.field, reason(field, word, "is indexed"));
                    }
                }
                index.when.iter().for_each(|when| refuse_in(when, &skipped, errors));
            }
            Item::Event(event) => {
                event.when.iter().for_each(|when| refuse_in(when, &skipped, errors));
                event.at.iter().for_each(|(_, at)| refuse_in(at, &skipped, errors));
            }
            Item::Table(..) | Item::Crate(..) | Item::Id(_) => {}
        }
    }
}

fn names(field: &Field, ident: &Ident) -> bool {
    field.ident.unraw() == ident.unraw()
}

fn reason(field: &Field, word: &str, is_used: &str) -> String {
    format!("`{}` {is_used}, but `#[serde({word})]` leaves it out of what is stored", field.ident.unraw())
}

/// Reports `self.field` in an expression.
fn refuse_in(expression: &Expr, skipped: &[(&Field, &str)], errors: &mut Errors) {
    for ident in fields_of_self(expression.to_token_stream()) {
        if let Some((field, word)) = skipped.iter().find(|(field, _)| names(field, &ident)) {
            errors.at(&ident, reason(field, word, "is used here"));
        }
    }
}

/// The fields that follow `self.`.
fn fields_of_self(tokens: TokenStream) -> Vec<Ident> {
    let mut found = Vec::new();
    let trees: Vec<_> = tokens.into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        match (tree, trees.get(at + 1), trees.get(at + 2)) {
            (TokenTree::Group(group), ..) => found.extend(fields_of_self(group.stream())),
            (TokenTree::Ident(word), Some(TokenTree::Punct(dot)), Some(TokenTree::Ident(field)))
                if word == "self" && dot.as_char() == '.' && !is_call(trees.get(at + 3)) =>
            {
                found.push(field.clone());
            }
            _ => {}
        }
    }
    found
}

fn is_call(after: Option<&TokenTree>) -> bool {
    matches!(after, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
}
