//! Parses `#[tito(...)]`. A mistake in one item does not hide those in the next.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Attribute, LitStr, Member, Token, parenthesized, token};

use crate::ast::{EventItem, FieldPath, IndexItem, Item, TopicName};
use crate::errors::Errors;
use crate::items::{self, each, set, skip_item, twice, value};

/// Where an attribute stands, which decides what it can say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelTarget {
    Container,
    Field,
}

impl ModelTarget {
    fn known(self) -> &'static str {
        match self {
            Self::Container => {
                "a model takes `table`, `event` (then `on`, `delay`, `at`, `when`), `index(...)`, `entity`, `owner`, \
                 `crate`"
            }
            Self::Field => "a field takes `id`, `index`, `event` (then `delay`, `at`, `when`)",
        }
    }
}

/// The items of all `tito` attributes among these.
pub(crate) fn parse(attributes: &[Attribute], place: ModelTarget, errors: &mut Errors) -> Vec<Item> {
    let mut items = Vec::new();
    for attribute in items::attributes(attributes) {
        let mut options = OptionsOf::Nothing;
        items::of_attribute(attribute, errors, |input, errors| {
            let options_of = std::mem::replace(&mut options, OptionsOf::Unknown);
            options = item(input, place, options_of, &mut items, errors)?;
            Ok(())
        });
    }
    items
}

/// What the next `delay`, `at`, `when` or `on` belongs to.
#[derive(Clone, Copy)]
enum OptionsOf {
    Nothing,
    /// The last item, which is an event.
    Event,
    /// An index, whose options stand in its parentheses.
    Index,
    /// An item that could not be read: its options are skipped without further errors.
    Unknown,
}

fn item(
    input: ParseStream<'_>,
    place: ModelTarget,
    options: OptionsOf,
    items: &mut Vec<Item>,
    errors: &mut Errors,
) -> syn::Result<OptionsOf> {
    let keyword = input.call(Ident::parse_any)?;
    let (item, options) = match (keyword.to_string().as_str(), place) {
        ("table", ModelTarget::Container) => (Item::Table(keyword, value(input)?), OptionsOf::Nothing),
        ("crate", ModelTarget::Container) => {
            input.parse::<Token![=]>()?;
            (Item::Crate(keyword, input.call(syn::Path::parse_mod_style)?), OptionsOf::Nothing)
        }
        ("entity", ModelTarget::Container) => (Item::Entity(keyword, value(input)?), OptionsOf::Nothing),
        ("owner", ModelTarget::Container) => (Item::Owner(keyword, value(input)?), OptionsOf::Nothing),
        ("id", ModelTarget::Field) => (Item::Id(keyword), OptionsOf::Nothing),
        ("index", _) => (Item::Index(index(keyword, input, place, errors)?), OptionsOf::Index),
        ("event", _) => {
            let name = topic_name(input)?;
            (Item::Event(Box::new(EventItem { name, on: None, delay: None, at: None, when: None })), OptionsOf::Event)
        }
        ("on" | "delay" | "at" | "when", _) => {
            event_option(keyword, input, place, options, items, errors)?;
            return Ok(options);
        }
        (unknown, _) => {
            return Err(syn::Error::new(keyword.span(), format!("unknown attribute `{unknown}`: {}", place.known())));
        }
    };
    items.push(item);
    Ok(options)
}

fn topic_name(input: ParseStream<'_>) -> syn::Result<TopicName> {
    input.parse::<Token![=]>()?;
    if input.peek(LitStr) {
        return Ok(TopicName::Literal(input.parse()?));
    }
    let at = input.cursor().span();
    let constant = input.parse().map_err(|_| {
        let message = "expected the topic's name: a text such as \"order\", or a constant such as `OrderPlaced::NAME`";
        syn::Error::new(at, message)
    })?;
    Ok(TopicName::Constant(constant))
}

/// Reads an option into the event that it follows. A mistake in it is reported here, as the event itself is good.
fn event_option(
    keyword: Ident,
    input: ParseStream<'_>,
    place: ModelTarget,
    options: OptionsOf,
    items: &mut [Item],
    errors: &mut Errors,
) -> syn::Result<()> {
    let event = match (options, items.last_mut()) {
        (OptionsOf::Event, Some(Item::Event(event))) => event,
        (OptionsOf::Unknown, _) => {
            skip_item(input);
            return Ok(());
        }
        (OptionsOf::Index, _) if keyword == "when" => {
            let message = "an index's condition stands in its parentheses: `index(when = ...)`";
            return Err(syn::Error::new(keyword.span(), message));
        }
        _ => {
            let message = format!("`{keyword}` belongs to an event, but no `event = ...` stands before it here");
            return Err(syn::Error::new(keyword.span(), message));
        }
    };
    let read = match keyword.to_string().as_str() {
        "on" if place == ModelTarget::Field => Err(syn::Error::new(
            keyword.span(),
            "a field's event takes no `on`: it is written on insert, and on an update that changes the field",
        )),
        "on" => operations(&keyword, input, errors)
            .and_then(|listed| set(&mut event.on, &keyword, (keyword.clone(), listed))),
        "delay" => value(input).and_then(|delay| set(&mut event.delay, &keyword, delay)),
        "at" => value(input).and_then(|at| set(&mut event.at, &keyword, (keyword.clone(), at))),
        _ => value(input).and_then(|when| set(&mut event.when, &keyword, when)),
    };
    if let Err(error) = read {
        errors.push(error);
        skip_item(input);
    }
    Ok(())
}

fn operations(keyword: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<Vec<Ident>> {
    let content;
    parenthesized!(content in input);
    if content.is_empty() {
        return Err(syn::Error::new(keyword.span(), "expected at least one of `insert`, `update` and `delete`"));
    }
    let mut listed = Vec::new();
    each(&content, errors, |input, _| {
        listed.push(input.call(Ident::parse_any)?);
        Ok(())
    });
    Ok(listed)
}

fn index(keyword: Ident, input: ParseStream<'_>, place: ModelTarget, errors: &mut Errors) -> syn::Result<IndexItem> {
    let mut index = IndexItem { keyword, name: None, fields: None, unique: false, when: None };
    if !input.peek(token::Paren) {
        return Ok(index);
    }
    let content;
    parenthesized!(content in input);
    each(&content, errors, |input, errors| {
        let option = input.call(Ident::parse_any)?;
        match option.to_string().as_str() {
            "name" => set(&mut index.name, &option, value(input)?),
            "when" => set(&mut index.when, &option, value(input)?),
            "unique" => {
                if std::mem::replace(&mut index.unique, true) {
                    return Err(twice(&option));
                }
                Ok(())
            }
            "fields" if place == ModelTarget::Container => {
                let listed = field_paths(&option, input, errors)?;
                set(&mut index.fields, &option, (option.clone(), listed))
            }
            "fields" => {
                let message = "an index over several fields stands above the struct: `#[tito(index(...))]`";
                Err(syn::Error::new(option.span(), message))
            }
            unknown => {
                let known = match place {
                    ModelTarget::Container => "`name`, `fields(...)`, `unique`, `when`",
                    ModelTarget::Field => "`name`, `unique`, `when`",
                };
                let message = format!("unknown option `{unknown}`: an index takes {known}");
                Err(syn::Error::new(option.span(), message))
            }
        }
    });
    Ok(index)
}

fn field_paths(keyword: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<Vec<FieldPath>> {
    let content;
    parenthesized!(content in input);
    if content.is_empty() {
        errors.at(keyword, "expected at least one field: `fields(a, b)`");
    }
    let mut paths = Vec::new();
    each(&content, errors, |input, _| {
        let field = input.parse()?;
        let mut inner = Vec::new();
        while input.peek(Token![.]) {
            input.parse::<Token![.]>()?;
            inner.push(input.parse::<Member>()?);
        }
        let ty = if input.peek(Token![:]) {
            input.parse::<Token![:]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        paths.push(FieldPath { field, inner, ty });
        Ok(())
    });
    Ok(paths)
}
