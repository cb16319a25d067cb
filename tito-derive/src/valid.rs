//! Checks what was written, and makes a [`Model`] of what is right.

use std::collections::HashSet;

use proc_macro2::{Ident, Span};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{LitStr, parse_quote_spanned};

use crate::ast::{EventItem, Field, FieldPath, IndexItem, Input, Item, TopicName};
use crate::errors::Errors;
use crate::model::{Cause, Due, Event, Index, IndexedField, Model, Operation};
use crate::skipped;
use crate::text;

/// The model, without what is wrong, which is reported.
pub(crate) fn check<'a>(input: &'a Input, errors: &mut Errors) -> Model<'a> {
    let mut model = Model {
        root: parse_quote_spanned!(input.ident.span()=> ::tito_core),
        table: text::snake_case(&input.ident.unraw().to_string()),
        id: None,
        entity: None,
        owner: None,
        indexes: Vec::new(),
        events: Vec::new(),
    };
    let mut once = Once::default();
    let fields = input.fields.as_deref().unwrap_or_default();
    for item in &input.items {
        match item {
            Item::Table(keyword, name) => {
                once.check(keyword, errors);
                check_name(name, "a table", text::name_fault, errors);
                model.table = name.value();
            }
            Item::Crate(keyword, path) => {
                once.check(keyword, errors);
                model.root = path.clone();
            }
            Item::Entity(keyword, entity) => {
                once.check(keyword, errors);
                model.entity = Some(entity);
            }
            Item::Owner(keyword, owner) => {
                once.check(keyword, errors);
                model.owner = Some(owner);
            }
            Item::Index(item) if input.fields.is_some() => {
                let index = index_of_model(item, fields, errors);
                add_index(&mut model, index, errors);
            }
            Item::Event(item) => model.events.extend(event_of_model(item, errors)),
            // `id` is parsed on fields only; without fields, an index has been reported enough.
            Item::Id(_) | Item::Index(_) => {}
        }
    }
    for field in fields {
        for item in &field.items {
            match item {
                Item::Index(item) => add_index(&mut model, index_of_field(item, field, errors), errors),
                Item::Event(item) => model.events.extend(event(item, Cause::Field(field), errors)),
                // `id` is for the next loop; the others are parsed on the container only.
                _ => {}
            }
        }
    }
    if input.fields.is_some() {
        model.id = id(input, fields, errors);
    }
    skipped::refuse(input, model.id, errors);
    model
}

/// Words that may stand once.
#[derive(Default)]
struct Once(HashSet<String>);

impl Once {
    fn check(&mut self, keyword: &Ident, errors: &mut Errors) {
        if !self.0.insert(keyword.to_string()) {
            errors.at(keyword, format!("`{keyword}` is given twice"));
        }
    }
}

fn id<'a>(input: &Input, fields: &'a [Field], errors: &mut Errors) -> Option<&'a Field> {
    let mut marked = fields.iter().flat_map(|field| {
        let keywords = field.items.iter().filter_map(|item| match item {
            Item::Id(keyword) => Some(keyword),
            _ => None,
        });
        keywords.map(move |keyword| (field, keyword))
    });
    let first = marked.next().map(|(field, _)| field);
    for (_, keyword) in marked {
        errors.at(keyword, "a second id, but a model has one");
    }
    let id = first.or_else(|| fields.iter().find(|field| field.ident.unraw() == "id"));
    if id.is_none() {
        errors.at(&input.ident, "no id: mark a field with `#[tito(id)]`, or call it `id`");
    }
    id
}

fn check_name(
    name: &LitStr,
    what: &str,
    fault: impl Fn(&str) -> Option<&'static str>,
    errors: &mut Errors,
) -> Option<()> {
    match fault(&name.value()) {
        None => Some(()),
        Some(fault) => {
            errors.at(name, format!("{what} can't have the name {:?}: {fault}", name.value()));
            None
        }
    }
}

fn add_index<'a>(model: &mut Model<'a>, index: Option<Index<'a>>, errors: &mut Errors) {
    let Some(index) = index else { return };
    if model.indexes.iter().any(|other| other.name == index.name) {
        errors.push(syn::Error::new(index.handle.span(), format!("there is another index {:?}", index.name)));
    } else {
        model.indexes.push(index);
    }
}

fn index_of_field<'a>(item: &'a IndexItem, field: &'a Field, errors: &mut Errors) -> Option<Index<'a>> {
    let ident = &field.ident;
    let shown = ident.unraw().to_string();
    let (name, span) = match &item.name {
        Some(name) => {
            check_name(name, "an index", text::index_name_fault, errors)?;
            (name.value(), name.span())
        }
        None => (format!("by_{}", text::snake_case(&shown)), item.keyword.span()),
    };
    let fields = vec![IndexedField { path: ident.to_token_stream(), shown, ty: &field.ty }];
    Some(index(item, name, span, fields))
}

fn index_of_model<'a>(item: &'a IndexItem, fields: &'a [Field], errors: &mut Errors) -> Option<Index<'a>> {
    if item.name.is_none() || item.fields.is_none() {
        let message = "an index of the model needs a name and fields: `index(name = \"by_...\", fields(...))`";
        errors.at(&item.keyword, message);
    }
    let name_is_good = item.name.as_ref().and_then(|name| check_name(name, "an index", text::index_name_fault, errors));
    let (_, paths) = item.fields.as_ref()?;
    let indexed: Vec<_> = paths.iter().filter_map(|path| indexed_field(path, fields, errors)).collect();
    for (position, field) in indexed.iter().enumerate() {
        if indexed[..position].iter().any(|other| other.shown == field.shown) {
            errors.at(&field.path, format!("field `{}` is in this index twice", field.shown));
        }
    }
    name_is_good?;
    let name = item.name.as_ref()?;
    // With a field missing, its handle would be of another type: better none.
    (indexed.len() == paths.len() && !paths.is_empty()).then(|| index(item, name.value(), name.span(), indexed))
}

fn index<'a>(item: &'a IndexItem, name: String, span: Span, fields: Vec<IndexedField<'a>>) -> Index<'a> {
    let handle = Ident::new(&name.to_uppercase(), span);
    Index { name, handle, unique: item.unique, when: item.when.as_ref(), fields }
}

fn indexed_field<'a>(path: &'a FieldPath, fields: &'a [Field], errors: &mut Errors) -> Option<IndexedField<'a>> {
    let FieldPath { field: first, inner, ty } = path;
    let Some(field) = fields.iter().find(|field| field.ident.unraw() == first.unraw()) else {
        let known: Vec<_> = fields.iter().map(|field| format!("`{}`", field.ident.unraw())).collect();
        errors.at(first, format!("there is no field `{}`, only {}", first.unraw(), known.join(", ")));
        return None;
    };
    let tokens = quote!(#first #(.#inner)*);
    let shown = tokens.to_string().replace([' '], "").replace("r#", "");
    let ty = match ty {
        Some(ty) => ty,
        None if inner.is_empty() => &field.ty,
        None => {
            errors.at(tokens, format!("the type of a nested field is to be written out: `{shown}: String`"));
            return None;
        }
    };
    Some(IndexedField { path: tokens, shown, ty })
}

fn event_of_model<'a>(item: &'a EventItem, errors: &mut Errors) -> Option<Event<'a>> {
    let operations = match &item.on {
        None => Operation::ALL.to_vec(),
        Some((_, listed)) => operations(listed, errors),
    };
    event(item, Cause::Operations(operations), errors)
}

fn operations(listed: &[Ident], errors: &mut Errors) -> Vec<Operation> {
    let mut operations = Vec::new();
    for ident in listed {
        let operation = match ident.to_string().as_str() {
            "insert" => Operation::Insert,
            "update" => Operation::Update,
            "delete" => Operation::Delete,
            unknown => {
                errors.at(ident, format!("unknown operation `{unknown}`: expected `insert`, `update` or `delete`"));
                continue;
            }
        };
        if operations.contains(&operation) {
            errors.at(ident, format!("`{ident}` is given twice"));
        } else {
            operations.push(operation);
        }
    }
    operations
}

fn event<'a>(item: &'a EventItem, cause: Cause<'a>, errors: &mut Errors) -> Option<Event<'a>> {
    let name_is_good = match &item.name {
        TopicName::Literal(name) => check_name(name, "an event", text::event_name_fault, errors),
        // The compiler checks its value.
        TopicName::Constant(_) => Some(()),
    };
    let delay = item.delay.as_ref().map(|delay| {
        text::duration_seconds(&delay.value()).unwrap_or_else(|fault| {
            errors.at(delay, format!("{:?} is no delay: {fault}", delay.value()));
            0
        })
    });
    let due = match (delay, &item.at) {
        (Some(_), Some((at, _))) => {
            errors.at(at, "an event takes `delay` or `at`, not both");
            return None;
        }
        (Some(seconds), None) => Due::After(seconds),
        (None, Some((_, at))) => Due::At(at),
        (None, None) => Due::AtOnce,
    };
    name_is_good?;
    Some(Event { name: &item.name, cause, due, when: item.when.as_ref() })
}
