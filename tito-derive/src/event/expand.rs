//! Writes the implementation.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::Path;

use super::ast::Input;
use super::model::{Codec, Data, Event, Model, Sampled};
use super::shadow;
use crate::spans;

/// The implementation for events without mistakes.
pub(crate) fn implementation(input: &Input, model: &Model<'_>) -> TokenStream {
    let root = &model.root;
    let types: Vec<_> = model.events.iter().map(|event| event_type(event, root)).collect();
    let patterns = model.events.iter().map(Event::constructor);
    let has_objects = model.events.iter().any(|event| matches!(event.data, Data::Object { .. }));
    let writer = has_objects.then(|| shadow::writer(input, model));
    let import = has_objects.then(|| shadow::import(model));
    let encode = model.events.iter().map(|event| encode(input, event, root));
    let names = model.events.iter().map(|event| &event.name);
    let decode = model.events.iter().map(|event| decode(input, event, root));
    let samples = model.events.iter().map(sample);
    let validate = model.validate.map(|keyword| {
        let this = Ident::new("Self", keyword.span());
        let validate = spans::as_trait(&this, quote!(#root::types::Validator), quote!(validate));
        quote! {
            fn validate(&self) -> ::core::result::Result<(), #root::__private::BoxError> {
                #validate(self)
            }
        }
    });
    event_data(
        input,
        root,
        quote! {
            const EVENT_TYPES: &'static [#root::types::EventType] = &[#(#types),*];

            fn event_type(&self) -> #root::types::EventType {
                match self {
                    #(#patterns { .. } => #types),*
                }
            }

            fn encode(
                &self,
            ) -> ::core::result::Result<::std::vec::Vec<::core::primitive::u8>, #root::__private::BoxError> {
                #writer
                match self {
                    #(#encode),*
                }
            }

            fn decode(
                __event_type: &::core::primitive::str,
                __data: &[::core::primitive::u8],
            ) -> ::core::result::Result<Self, #root::__private::BoxError> {
                #import
                ::core::result::Result::Ok(match __event_type {
                    #(#names => #decode,)*
                    __other => return ::core::result::Result::Err(#root::__private::unknown_event_type(__other)),
                })
            }

            fn samples() -> ::std::vec::Vec<Self> {
                ::std::vec![#(#samples),*]
            }

            #validate
        },
    )
}

/// What is written for events with mistakes beside the errors, so that their uses don't raise errors of their own.
pub(crate) fn fallback(input: &Input, model: &Model<'_>) -> TokenStream {
    let root = &model.root;
    event_data(
        input,
        root,
        quote! {
            const EVENT_TYPES: &'static [#root::types::EventType] = &[];

            fn event_type(&self) -> #root::types::EventType {
                ::core::unreachable!()
            }

            fn encode(
                &self,
            ) -> ::core::result::Result<::std::vec::Vec<::core::primitive::u8>, #root::__private::BoxError> {
                ::core::unreachable!()
            }

            fn decode(
                _: &::core::primitive::str,
                _: &[::core::primitive::u8],
            ) -> ::core::result::Result<Self, #root::__private::BoxError> {
                ::core::unreachable!()
            }

            fn samples() -> ::std::vec::Vec<Self> {
                ::core::unreachable!()
            }
        },
    )
}

fn event_data(input: &Input, root: &Path, body: TokenStream) -> TokenStream {
    let ident = &input.ident;
    quote! {
        #[automatically_derived]
        #[allow(
            clippy::all, clippy::pedantic, dead_code, non_camel_case_types, non_snake_case, unreachable_pub,
            unused_qualifications, unused_variables,
        )]
        impl #root::types::EventData for #ident {
            #body
        }
    }
}

fn event_type(event: &Event<'_>, root: &Path) -> TokenStream {
    let Event { name, version, .. } = event;
    let codec = event.codec.ident();
    quote! {
        #root::types::EventType { name: #name, version: #version, codec: #root::types::Codec::#codec }
    }
}

/// `<Codec as CodecOf<ty>>::function`, at the type.
fn codec_of(codec: Codec, ty: &impl ToTokens, function: TokenStream, root: &Path) -> TokenStream {
    let codec = codec.ident();
    let codec = spans::placed(ty, root, quote!(::types::#codec));
    spans::as_trait(&codec, quote!(#root::types::CodecOf<#ty>), function)
}

/// The type of no data: an object without fields, to which fields can be added, where there are objects.
fn nothing(codec: Codec, root: &Path) -> TokenStream {
    if codec.is_serde() { quote!(#root::__private::Nothing) } else { quote!(()) }
}

fn encode(input: &Input, event: &Event<'_>, root: &Path) -> TokenStream {
    let constructor = event.constructor();
    match &event.data {
        Data::Nothing => {
            let nothing = nothing(event.codec, root);
            let encode = codec_of(event.codec, &nothing, quote!(encode), root);
            quote!(#constructor { .. } => #encode(&::core::default::Default::default()))
        }
        Data::Inner(Sampled { field, .. }) => {
            let encode = codec_of(event.codec, &field.ty, quote!(encode), root);
            quote!(#constructor(__inner) => #encode(__inner))
        }
        Data::Object { .. } => {
            let write = serde_function(event.codec, "write");
            quote!(#constructor { .. } => #root::__private::#write(&__Object(self)))
        }
        Data::Whole(_) => {
            let encode = codec_of(event.codec, &input.ident, quote!(encode), root);
            quote!(#constructor { .. } => #encode(self))
        }
    }
}

fn decode(input: &Input, event: &Event<'_>, root: &Path) -> TokenStream {
    let constructor = event.constructor();
    match &event.data {
        Data::Nothing => {
            let nothing = nothing(event.codec, root);
            let decode = codec_of(event.codec, &nothing, quote!(decode), root);
            quote! {
                {
                    #decode(__data)?;
                    #constructor {}
                }
            }
        }
        Data::Inner(Sampled { field, .. }) => {
            let decode = codec_of(event.codec, &field.ty, quote!(decode), root);
            quote!(#constructor(#decode(__data)?))
        }
        Data::Object { fields, serde } => {
            let reader = shadow::reader(input, event, fields, serde);
            let read = serde_function(event.codec, "read");
            let idents: Vec<_> = fields.iter().map(|sampled| &sampled.field.ident).collect();
            quote! {
                {
                    #reader
                    let __Fields { #(#idents),* } = #root::__private::#read(__data)?;
                    #constructor { #(#idents),* }
                }
            }
        }
        Data::Whole(_) => {
            let decode = codec_of(event.codec, &input.ident, quote!(decode), root);
            quote!(#decode(__data)?)
        }
    }
}

/// The function for values of serde that can be either written or read.
fn serde_function(codec: Codec, verb: &str) -> Ident {
    let codec = if codec == Codec::MessagePack { "messagepack" } else { "json" };
    quote::format_ident!("{verb}_{codec}")
}

fn sample(event: &Event<'_>) -> TokenStream {
    if let Some(sample) = event.sample {
        return sample.to_token_stream();
    }
    let constructor = event.constructor();
    match &event.data {
        Data::Nothing => quote!(#constructor {}),
        Data::Inner(field) => {
            let value = sample_of_field(field);
            quote!(#constructor(#value))
        }
        Data::Object { fields, .. } | Data::Whole(fields) => {
            let idents = fields.iter().map(|sampled| &sampled.field.ident);
            let values = fields.iter().map(sample_of_field);
            quote!(#constructor { #(#idents: #values),* })
        }
    }
}

fn sample_of_field(sampled: &Sampled<'_>) -> TokenStream {
    match sampled.sample {
        Some(sample) => sample.to_token_stream(),
        None => {
            let default = spans::as_trait(&sampled.field.ty, quote!(::core::default::Default), quote!(default));
            quote!(#default())
        }
    }
}
