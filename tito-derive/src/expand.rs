//! Writes the implementation.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprPath, Path};

use crate::ast::{Field, Input, TopicName};
use crate::model::{Cause, Due, Event, Index, IndexedField, Model, Operation};
use crate::spans;

/// The implementation of a model without mistakes.
pub(crate) fn implementation(input: &Input, model: &Model<'_>) -> TokenStream {
    let root = &model.root;
    let table = &model.table;
    let id = model.id.map(|Field { ident, ty, .. }| {
        let to_string = spans::as_trait(ty, quote!(::std::string::ToString), quote!(to_string));
        quote!(#to_string(&self.#ident))
    });
    let definitions = model.indexes.iter().map(|index| definition(index, root));
    let entries = model.indexes.iter().map(|index| entries(index, root));
    let events = model.events.iter().enumerate().map(|(number, event)| push_event(number, event, root));
    let entity = model.entity.map(|_| {
        quote! {
            fn entity(&self) -> ::std::string::String {
                self.__tito_entity()
            }
        }
    });
    let owner = model.owner.map(|_| {
        quote! {
            fn owner(&self) -> ::core::option::Option<::std::string::String> {
                self.__tito_owner()
            }
        }
    });
    let schema = schema(
        input,
        root,
        quote! {
            fn table() -> ::std::borrow::Cow<'static, ::core::primitive::str> {
                ::std::borrow::Cow::Borrowed(#table)
            }

            fn id(&self) -> ::std::string::String {
                #id
            }

            fn index_definitions() -> ::std::vec::Vec<#root::model::IndexDefinition> {
                ::std::vec![#(#definitions),*]
            }

            fn index_entries(&self) -> #root::Result<::std::vec::Vec<#root::model::IndexEntry>> {
                let mut __entries = ::std::vec::Vec::new();
                #(#entries)*
                ::core::result::Result::Ok(__entries)
            }

            fn events(
                __change: &#root::model::Change<'_, Self>,
            ) -> ::std::vec::Vec<#root::event::TitoEventConfig> {
                let __row = __change.row;
                let mut __events = ::std::vec::Vec::new();
                #(#events)*
                __events
            }

            #entity
            #owner
        },
    );
    let handles = handles(input, model, Some(expressions(model)));
    let names =
        model.events.iter().filter(|_| input.generics.params.is_empty()).map(|event| item_name(event.name, root));
    quote!(#handles #schema #(#names)*)
}

/// What is written for a model with mistakes beside the errors, so that its uses don't raise errors of their own.
pub(crate) fn fallback(input: &Input, model: &Model<'_>) -> TokenStream {
    let root = &model.root;
    let schema = schema(
        input,
        root,
        quote! {
            fn table() -> ::std::borrow::Cow<'static, ::core::primitive::str> {
                ::core::unreachable!()
            }

            fn id(&self) -> ::std::string::String {
                ::core::unreachable!()
            }

            fn index_definitions() -> ::std::vec::Vec<#root::model::IndexDefinition> {
                ::core::unreachable!()
            }

            fn index_entries(&self) -> #root::Result<::std::vec::Vec<#root::model::IndexEntry>> {
                ::core::unreachable!()
            }

            fn events(_: &#root::model::Change<'_, Self>) -> ::std::vec::Vec<#root::event::TitoEventConfig> {
                ::core::unreachable!()
            }
        },
    );
    let handles = handles(input, model, None);
    quote!(#handles #schema)
}

fn schema(input: &Input, root: &Path, body: TokenStream) -> TokenStream {
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        #[allow(clippy::all, clippy::pedantic, unused_mut, unused_qualifications, unused_variables)]
        impl #generics #root::model::TitoSchema for #ident #arguments #bounds {
            #body
        }
    }
}

/// The constants, and whatever else is the type's own.
fn handles(input: &Input, model: &Model<'_>, more: Option<TokenStream>) -> TokenStream {
    let constants: Vec<_> = model.indexes.iter().map(|index| handle(input, index, &model.root)).collect();
    if constants.is_empty() && more.as_ref().is_none_or(TokenStream::is_empty) {
        return TokenStream::new();
    }
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        #[allow(
            clippy::all, clippy::pedantic, dead_code, private_interfaces, unreachable_pub, unused_parens,
            unused_qualifications,
        )]
        impl #generics #ident #arguments #bounds {
            #(#constants)*
            #more
        }
    }
}

fn handle(input: &Input, index: &Index<'_>, root: &Path) -> TokenStream {
    let Index { name, handle, unique, .. } = index;
    let vis = &input.vis;
    let kinds =
        index.fields.iter().map(|field| spans::as_trait(field.ty, quote!(#root::keys::IndexField), quote!(Kind)));
    let fields: Vec<_> = index.fields.iter().map(|field| format!("`{}`", field.shown)).collect();
    let adjective = if *unique { "unique index" } else { "index" };
    let condition = if index.when.is_some() { ", of the rows that meet its condition" } else { "" };
    let doc = format!(" The {adjective} `{name}` over {}{condition}.", fields.join(", "));
    // The compiler reports a type that can't be a key for the constant's type, and again for its value: both at one place,
    // where they become one error, or for several fields the latter at the index's name.
    let new = quote!(::model::Index::new(#name, #unique));
    let value = match &index.fields[..] {
        [field] => spans::placed(field.ty, root, new),
        _ => spans::placed(handle, root, new),
    };
    quote! {
        #[doc = #doc]
        #vis const #handle: #root::model::Index<Self, (#(#kinds,)*)> = #value;
    }
}

fn definition(index: &Index<'_>, root: &Path) -> TokenStream {
    let Index { name, unique, .. } = index;
    let covers = covers(index);
    quote! {
        #root::model::IndexDefinition {
            name: ::std::borrow::Cow::Borrowed(#name),
            unique: #unique,
            covers: ::std::borrow::Cow::Borrowed(#covers),
        }
    }
}

/// The fields, their types and the condition as a text. It is stored, so it must not depend on how a version of the
/// compiler puts spaces between tokens.
fn covers(index: &Index<'_>) -> String {
    let without_spaces =
        |tokens: TokenStream| tokens.to_string().chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let field = |field: &IndexedField<'_>| format!("{}:{}", field.shown, without_spaces(field.ty.to_token_stream()));
    let mut covers = index.fields.iter().map(field).collect::<Vec<_>>().join(",");
    if let Some(when) = index.when {
        covers.push_str(" when ");
        covers.push_str(&without_spaces(when.to_token_stream()));
    }
    covers
}

fn entries(index: &Index<'_>, root: &Path) -> TokenStream {
    let definition = definition(index, root);
    let fields = index.fields.iter().map(|IndexedField { path, ty, .. }| {
        let encodings = spans::as_trait(ty, quote!(#root::keys::IndexField), quote!(encodings));
        let field = spans::borrow(path, quote!(self.#path));
        quote!(#encodings(#field))
    });
    let add = quote! {
        __entries.extend(#root::model::IndexEntry::combine(
            &<Self as #root::model::TitoSchema>::table(),
            #definition,
            &[#(#fields),*],
        )?);
    };
    match index.when {
        None => add,
        Some(_) => {
            let when = condition_of_index(index);
            quote!(if self.#when() { #add })
        }
    }
}

fn push_event(number: usize, event: &Event<'_>, root: &Path) -> TokenStream {
    let name = topic_name(event.name, root);
    let push = match event.due {
        Due::AtOnce => quote! {
            __events.push(#root::event::TitoEventConfig::immediate(#name));
        },
        Due::After(seconds) => quote! {
            __events.push(#root::event::TitoEventConfig::at(
                #name,
                __change.now.seconds_after(::core::time::Duration::from_secs(#seconds)),
            ));
        },
        Due::At(_) => {
            let at = time_of_event(number);
            quote! {
                if let ::core::option::Option::Some(__seconds) = __row.#at() {
                    __events.push(#root::event::TitoEventConfig::at(#name, __seconds));
                }
            }
        }
    };
    let push = match event.when {
        None => push,
        Some(_) => {
            let when = condition_of_event(number);
            quote!(if __row.#when() { #push })
        }
    };
    match &event.cause {
        Cause::Operations(operations) if operations.len() == Operation::ALL.len() => push,
        Cause::Operations(operations) => {
            let operations = operations.iter().map(|operation| match operation {
                Operation::Insert => quote!(#root::model::TitoOperation::Insert),
                Operation::Update => quote!(#root::model::TitoOperation::Update),
                Operation::Delete => quote!(#root::model::TitoOperation::Delete),
            });
            quote! {
                if ::core::matches!(__change.operation, #(#operations)|*) { #push }
            }
        }
        Cause::Field(field) => {
            let (ident, ty) = (&field.ident, &field.ty);
            let differ = spans::as_trait(ty, quote!(::core::cmp::PartialEq), quote!(ne));
            quote! {
                if match (__change.operation, __change.old) {
                    (#root::model::TitoOperation::Delete, _) => false,
                    (_, ::core::option::Option::Some(__old)) => #differ(&__old.#ident, &__row.#ident),
                    (_, ::core::option::Option::None) => true,
                } { #push }
            }
        }
    }
}

/// The name of an event's topic. A constant is checked when the program is compiled, as a literal is here.
fn topic_name(name: &TopicName, root: &Path) -> TokenStream {
    match name {
        TopicName::Literal(name) => quote!(#name),
        TopicName::Constant(constant) => {
            let checked = checked_topic_name(constant, root);
            quote!(const { #checked })
        }
    }
}

/// The same beside the implementation, where `cargo check` finds it too. Only for what has a meaning there.
fn item_name(name: &TopicName, root: &Path) -> Option<TokenStream> {
    let TopicName::Constant(constant) = name else { return None };
    if names_self(constant.to_token_stream()) {
        return None;
    }
    let checked = checked_topic_name(constant, root);
    Some(quote! {
        #[allow(unused_qualifications)]
        const _: &::core::primitive::str = #checked;
    })
}

fn checked_topic_name(constant: &ExprPath, root: &Path) -> TokenStream {
    let checked = spans::placed(constant, root, quote!(::__private::checked_topic_name));
    let name = spans::group(constant, quote!(#constant));
    quote!(#checked #name)
}

fn names_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "Self",
        TokenTree::Group(group) => names_self(group.stream()),
        _ => false,
    })
}

/// The user's expressions, each in a method of its own: `self` is the row, and no name of ours is in scope.
fn expressions(model: &Model<'_>) -> TokenStream {
    let root = &model.root;
    let mut methods = TokenStream::new();
    for index in &model.indexes {
        methods.extend(index.when.map(|when| condition(&condition_of_index(index), when)));
    }
    for (number, event) in model.events.iter().enumerate() {
        methods.extend(event.when.map(|when| condition(&condition_of_event(number), when)));
        if let Due::At(time) = event.due {
            let method = time_of_event(number);
            let time = spans::borrow(time, spans::group(time, quote!(#time)));
            methods.extend(quote! {
                fn #method(&self) -> ::core::option::Option<::core::primitive::i64> {
                    #root::event::DueTime::due_seconds(#time)
                }
            });
        }
    }
    if let Some(entity) = model.entity {
        let entity = spans::borrow(entity, spans::group(entity, quote!(#entity)));
        methods.extend(quote! {
            fn __tito_entity(&self) -> ::std::string::String {
                ::std::string::ToString::to_string(#entity)
            }
        });
    }
    if let Some(owner) = model.owner {
        let owner = spans::borrow(owner, spans::group(owner, quote!(#owner)));
        methods.extend(quote! {
            fn __tito_owner(&self) -> ::core::option::Option<::std::string::String> {
                #root::event::EventOwner::owner(#owner)
            }
        });
    }
    methods
}

fn condition(method: &Ident, when: &Expr) -> TokenStream {
    let boolean = quote_spanned!(when.span()=> ::core::primitive::bool);
    quote! {
        fn #method(&self) -> #boolean {
            #when
        }
    }
}

fn condition_of_index(index: &Index<'_>) -> Ident {
    format_ident!("__tito_{}_when", index.name)
}

fn condition_of_event(number: usize) -> Ident {
    format_ident!("__tito_event_{number}_when")
}

fn time_of_event(number: usize) -> Ident {
    format_ident!("__tito_event_{number}_at")
}
