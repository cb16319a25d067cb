//! Gives every generated message a place for fields that it doesn't know.
//!
//! prost's derive drops them, and has no option to keep them. So its `prost_path` makes the derive, which knows the
//! fields, implement a trait of this crate, and `prost::Message` is implemented on top of that: a field with a known
//! number goes to the derive's code, any other to [`PLACE`]. To the derive, the place looks like a `oneof` with the
//! number after the highest possible field number, so it is encoded, counted and cleared with the rest, last.
//! that a field can have, so it is encoded, counted and cleared with the rest, last.
use quote::{format_ident, quote};
use syn::punctuated::Punctuated;
use syn::{Attribute, Fields, Item, ItemStruct, LitStr, Path, Token, parse_quote};

/// The name of the place.
const PLACE: &str = "unknown_fields";

/// The code with the places added. The messages' paths are added to `messages`.
pub(crate) fn keep_unknown_fields(code: &str, package: &str, messages: &mut Vec<String>) -> syn::Result<String> {
    let mut file = syn::parse_file(code)?;
    // The module of gRPC's health checks has a shorter name than its package.
    let module = if package == "grpc.health.v1" { "health" } else { package };
    keep_in(&mut file.items, &format!("tito_tikv_proto::{module}"), messages)?;
    Ok(prettyplease::unparse(&file))
}

fn keep_in(items: &mut Vec<Item>, path: &str, messages: &mut Vec<String>) -> syn::Result<()> {
    let mut implementations = Vec::new();
    for item in items.iter_mut() {
        match item {
            Item::Struct(message) if derives(&message.attrs, "Message")? => {
                messages.push(format!("{path}::{}", message.ident));
                implementations.extend(keep_in_message(message)?);
            }
            Item::Enum(oneof) if derives(&oneof.attrs, "Oneof")? => without_copy(&mut oneof.attrs)?,
            Item::Mod(module) => {
                let path = format!("{path}::{}", module.ident);
                if let Some((_, items)) = &mut module.content {
                    keep_in(items, &path, messages)?;
                }
            }
            _ => {}
        }
    }
    items.extend(implementations);
    Ok(())
}

/// Adds the place to a message. Returns how to encode, decode and print the message.
fn keep_in_message(message: &mut ItemStruct) -> syn::Result<[Item; 2]> {
    let debug = debug_of(message)?;
    let mut known: Vec<u32> = Vec::new();
    for field in &message.fields {
        known.extend(attributes_of(&field.attrs)?.tags);
    }
    let name = &message.ident;
    let known_field = (!known.is_empty())
        .then(|| quote!(#(#known)|* => crate::known::Message::merge_field(self, tag, wire_type, buf, context),));
    let place = format_ident!("{PLACE}");
    let encoding = parse_quote! {
        impl ::prost::Message for #name {
            #[inline]
            fn encode_raw(&self, buf: &mut impl ::prost::bytes::BufMut) {
                crate::known::Message::encode_raw(self, buf)
            }

            #[inline]
            fn merge_field(
                &mut self,
                tag: u32,
                wire_type: ::prost::encoding::WireType,
                buf: &mut impl ::prost::bytes::Buf,
                context: ::prost::encoding::DecodeContext,
            ) -> ::core::result::Result<(), ::prost::DecodeError> {
                match tag {
                    #known_field
                    _ => crate::UnknownFields::merge(&mut self.#place, tag, wire_type, buf, context),
                }
            }

            #[inline]
            fn encoded_len(&self) -> usize {
                crate::known::Message::encoded_len(self)
            }

            fn clear(&mut self) {
                crate::known::Message::clear(self)
            }
        }
    };

    // Unknown fields are on the heap.
    without_copy(&mut message.attrs)?;
    message.attrs.push(parse_quote!(#[prost(prost_path = "crate::known")]));
    message.attrs.push(parse_quote!(#[prost(skip_debug)]));
    let Fields::Named(fields) = &mut message.fields else {
        return Err(syn::Error::new_spanned(message, "prost-build makes messages with named fields"));
    };
    fields.named.push(parse_quote! {
        /// The fields that this crate doesn't know, as they were read. They are written again with the message.
        #[prost(oneof = "crate::UnknownFields", tags = "536870912")]
        pub #place: ::core::option::Option<crate::UnknownFields>
    });
    Ok([encoding, debug])
}

/// Like prost's derive, with the unknown fields only if there are any.
fn debug_of(message: &ItemStruct) -> syn::Result<Item> {
    let (name, place) = (&message.ident, format_ident!("{PLACE}"));
    let mut shown = Vec::new();
    for field in &message.fields {
        let ident = &field.ident;
        let value = match attributes_of(&field.attrs)?.enumeration {
            Some(kind) => quote!(crate::known::Named::<_, #kind>::new(&self.#ident)),
            None => quote!(self.#ident),
        };
        shown.push(quote!(shown.field(stringify!(#ident), &#value);));
    }
    Ok(parse_quote! {
        impl ::core::fmt::Debug for #name {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                let mut shown = formatter.debug_struct(stringify!(#name));
                #(#shown)*
                if let Some(unknown) = &self.#place {
                    shown.field(stringify!(#place), unknown);
                }
                shown.finish()
            }
        }
    })
}

/// What prost's attribute says about a field.
#[derive(Default)]
struct FieldAttributes {
    tags: Vec<u32>,
    enumeration: Option<Path>,
}

fn attributes_of(attributes: &[Attribute]) -> syn::Result<FieldAttributes> {
    let mut found = FieldAttributes::default();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("prost")) {
        attribute.parse_nested_meta(|meta| {
            // `message`, `repeated` and the like have no value.
            let Ok(value) = meta.value() else { return Ok(()) };
            let value: LitStr = value.parse()?;
            if meta.path.is_ident("tag") || meta.path.is_ident("tags") {
                for tag in value.value().split(',') {
                    found.tags.push(tag.trim().parse().map_err(|_| syn::Error::new_spanned(&value, "no number"))?);
                }
            } else if meta.path.is_ident("enumeration") {
                found.enumeration = Some(value.parse()?);
            }
            Ok(())
        })?;
    }
    Ok(found)
}

fn derived(attribute: &Attribute) -> syn::Result<Punctuated<Path, Token![,]>> {
    attribute.parse_args_with(Punctuated::parse_terminated)
}

fn derives(attributes: &[Attribute], name: &str) -> syn::Result<bool> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        if derived(attribute)?.iter().any(|path| path.segments.last().is_some_and(|last| last.ident == name)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn without_copy(attributes: &mut [Attribute]) -> syn::Result<()> {
    for attribute in attributes.iter_mut().filter(|attribute| attribute.path().is_ident("derive")) {
        let kept = derived(attribute)?.into_iter().filter(|path| !path.is_ident("Copy"));
        *attribute = parse_quote!(#[derive(#(#kept),*)]);
    }
    Ok(())
}
