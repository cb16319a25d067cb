//! Checks what was written, and makes a [`Model`] of what is right.

use std::collections::HashSet;

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::{Attribute, Expr, LitInt, LitStr, parse_quote_spanned};

use super::ast::{Body, Field, Input, Item, Shape, Variant};
use super::model::{Codec, Data, Event, Model, Sampled};
use super::shadow;
use crate::errors::Errors;
use crate::text;

/// The events, without what is wrong, which is reported.
pub(crate) fn check<'a>(input: &'a Input, errors: &mut Errors) -> Model<'a> {
    let options = Options::of(&input.items, errors);
    let root = match options.root {
        Some(path) => path.clone(),
        None => parse_quote_spanned!(input.ident.span()=> ::tito_eventstore),
    };
    if !input.generics.params.is_empty() {
        errors.at(&input.generics, "events can't be generic: an event type is one name for one type of data");
    }
    let mut events = Vec::new();
    match &input.body {
        Body::Union => errors.at(&input.ident, "events are an enum or a struct, this is a union"),
        Body::Struct(shape) => {
            let codec = options.codec(errors).unwrap_or(Codec::Json);
            events.extend(event(
                &input.ident,
                None,
                &options,
                codec,
                data_of_struct(&input.ident, shape, errors),
                errors,
            ));
        }
        Body::Enum(variants) => {
            if variants.is_empty() {
                errors.at(&input.ident, "an enum of events has to have a variant");
            }
            let default = options.codec(errors).unwrap_or(Codec::Json);
            events.extend(variants.iter().filter_map(|variant| of_variant(variant, default, &input.serde, errors)));
        }
    }
    refuse_duplicates(input, &events, errors);
    Model { root, validate: options.validate, events }
}

/// What the items of one place say, each at most once.
#[derive(Default)]
struct Options<'a> {
    name: Option<&'a LitStr>,
    version: Option<&'a LitInt>,
    codec: Option<&'a LitStr>,
    sample: Option<&'a Expr>,
    validate: Option<&'a Ident>,
    root: Option<&'a syn::Path>,
}

impl<'a> Options<'a> {
    fn of(items: &'a [Item], errors: &mut Errors) -> Self {
        let mut options = Self::default();
        for item in items {
            let (keyword, is_second) = match item {
                Item::Name(keyword, name) => (keyword, options.name.replace(name).is_some()),
                Item::Version(keyword, version) => (keyword, options.version.replace(version).is_some()),
                Item::Codec(keyword, codec) => (keyword, options.codec.replace(codec).is_some()),
                Item::Sample(keyword, sample) => (keyword, options.sample.replace(sample).is_some()),
                Item::Validate(keyword) => (keyword, options.validate.replace(keyword).is_some()),
                Item::Crate(keyword, root) => (keyword, options.root.replace(root).is_some()),
            };
            if is_second {
                errors.at(keyword, format!("`{keyword}` is given twice"));
            }
        }
        options
    }

    fn codec(&self, errors: &mut Errors) -> Option<Codec> {
        let literal = self.codec?;
        let codec = Codec::named(&literal.value());
        if codec.is_none() {
            let expected = "expected \"json\", \"messagepack\", \"protobuf\" or \"binary\"";
            errors.at(literal, format!("unknown codec {:?}: {expected}", literal.value()));
        }
        codec
    }
}

fn of_variant<'a>(
    variant: &'a Variant,
    default: Codec,
    of_enum: &'a [Attribute],
    errors: &mut Errors,
) -> Option<Event<'a>> {
    let options = Options::of(&variant.items, errors);
    let codec = options.codec(errors).unwrap_or(default);
    let data = match &variant.shape {
        Shape::Unit => Some(Data::Nothing),
        Shape::Newtype(field) => Some(Data::Inner(sampled(field, errors))),
        Shape::Named(fields) => {
            let fields = fields.iter().map(|field| sampled(field, errors)).collect();
            if !codec.is_serde() {
                let reason = "the fields of a variant are written as JSON or MessagePack alone";
                let instead = "for another codec give it one field without a name, of a type with all of the data";
                errors.at(&variant.ident, format!("{reason}: {instead}"));
            }
            Some(Data::Object { fields, serde: shadow::attributes(&variant.serde, of_enum, errors) })
        }
        Shape::Tuple(fields) => {
            tuple(&variant.ident, fields, errors);
            None
        }
    };
    event(&variant.ident, Some(&variant.ident), &options, codec, data, errors)
}

fn data_of_struct<'a>(ident: &Ident, shape: &'a Shape, errors: &mut Errors) -> Option<Data<'a>> {
    Some(match shape {
        Shape::Unit => Data::Nothing,
        Shape::Newtype(field) => Data::Inner(sampled(field, errors)),
        Shape::Named(fields) => Data::Whole(fields.iter().map(|field| sampled(field, errors)).collect()),
        Shape::Tuple(fields) => {
            tuple(ident, fields, errors);
            return None;
        }
    })
}

fn tuple(ident: &Ident, fields: &[Field], errors: &mut Errors) {
    errors.at(
        ident,
        match fields.len() {
            0 => format!("`{ident}` has parentheses without a field: leave them out"),
            number => format!("`{ident}` has {number} fields without names: name them, or have one"),
        },
    );
}

fn sampled<'a>(field: &'a Field, errors: &mut Errors) -> Sampled<'a> {
    Sampled { field, sample: Options::of(&field.items, errors).sample }
}

fn event<'a>(
    ident: &Ident,
    variant: Option<&'a Ident>,
    options: &Options<'a>,
    codec: Codec,
    data: Option<Data<'a>>,
    errors: &mut Errors,
) -> Option<Event<'a>> {
    let name = match options.name {
        Some(literal) => {
            if let Some(fault) = text::token_fault(&literal.value()) {
                errors.at(literal, format!("an event type can't have the name {:?}: {fault}", literal.value()));
            }
            literal.value()
        }
        None => text::kebab_case(&ident.unraw().to_string()),
    };
    let version = options.version.map_or(1, |literal| match literal.base10_parse() {
        Ok(version) if version > 0 => version,
        _ => {
            errors.at(literal, format!("expected a version, 1 to {}", u32::MAX));
            1
        }
    });
    if let (Some(sample), Some(data)) = (options.sample, &data)
        && data.fields().any(|field| field.sample.is_some())
    {
        errors.at(sample, "there is a sample of a field too: give one of the whole, or of fields");
    }
    Some(Event { variant, name, version, codec, data: data?, sample: options.sample })
}

fn refuse_duplicates(input: &Input, events: &[Event<'_>], errors: &mut Errors) {
    let mut names = HashSet::new();
    for event in events {
        if !names.insert(&event.name) {
            let message = format!("there is another event type {:?}", event.name);
            errors.at(event.variant.unwrap_or(&input.ident), message);
        }
    }
}
