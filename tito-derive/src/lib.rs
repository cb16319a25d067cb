//! `#[derive(TitoModel)]`, models from attributes, `#[derive(TitoJob)]`, topics as types, and `#[derive(TitoEventType)]`,
//! events of an event store. Users name `tito-core`, `tito-worker` and `tito-eventstore`, which re-export them behind
//! their `derive` features (on by default).
//!
//! What the attributes are and mean stands with the macros: [TitoModel](macro@TitoModel), [TitoJob](macro@TitoJob),
//! [TitoEventType](macro@TitoEventType).

mod ast;
mod attr;
mod errors;
mod event;
mod expand;
mod items;
mod job;
mod model;
mod read;
mod skipped;
mod spans;
mod text;
mod valid;

use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

use crate::ast::Input;
use crate::errors::Errors;

/// Makes a struct with named fields a model: its values are rows of a table, with an id, indexes and events.
///
/// It implements `tito_core::model::TitoSchema`. Beside it the type needs serde's `Serialize` and `Deserialize`, and
/// `Clone`; it needs no `Default`. Several `#[tito(...)]` and several items in one are the same.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use serde::{Deserialize, Serialize};
/// use tito_core::model::TitoSchema;
/// use tito_core::model::Index;
/// use tito_core::prelude::*;
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Address {
///     city: String,
/// }
///
/// #[derive(Clone, Serialize, Deserialize, TitoModel)]
/// #[tito(table = "user")]
/// #[tito(event = "user")]
/// #[tito(event = "analytics", on(insert, delete))]
/// #[tito(event = "reminder", delay = "1h30m", when = self.wants_reminder)]
/// #[tito(event = "expiry", at = self.expires_at)]
/// #[tito(index(name = "by_org_and_email", fields(org_id, email), unique))]
/// #[tito(index(name = "by_city", fields(address.city: String), when = self.active))]
/// #[tito(entity = format!("org:{}", self.org_id))]
/// struct User {
///     #[tito(id)]
///     number: u64,
///     #[tito(index)]
///     org_id: String,
///     #[tito(index(name = "by_mail", unique), event = "email_changed", delay = "1h")]
///     email: String,
///     #[tito(index)]
///     tags: Vec<String>,
///     address: Address,
///     active: bool,
///     wants_reminder: bool,
///     expires_at: Option<DateTime<Utc>>,
/// }
///
/// let user = User {
///     number: 7,
///     org_id: "acme".to_string(),
///     email: "ada@example.com".to_string(),
///     tags: vec!["early".to_string(), "paying".to_string()],
///     address: Address { city: "London".to_string() },
///     active: false,
///     wants_reminder: true,
///     expires_at: None,
/// };
/// assert_eq!(User::table(), "user");
/// assert_eq!(user.id(), "7");
/// assert_eq!(user.entity(), "org:acme");
///
/// let entries = user.index_entries()?;
/// let names: Vec<_> = entries.iter().map(|entry| &*entry.name).collect();
/// assert_eq!(names, ["by_org_and_email", "by_org_id", "by_mail", "by_tags", "by_tags"]);
///
/// // Every index has a handle, which says what its values are.
/// let _: Index<User, (String, String)> = User::BY_ORG_AND_EMAIL;
/// let _: Index<User, (String,)> = User::BY_CITY;
/// # Ok::<(), TitoError>(())
/// ```
///
/// # Above the struct
///
/// - `table = "user"`: the table. Not empty, without `:` and control characters, up to 255 bytes. Default: the type's
///   name in snake_case. It is in the keys of all rows: to rename the type later, write it out.
/// - `event = "user"`: an event on every write, due at once. The name of its topic follows the rules of tables, and has
///   no `@`. Instead of a text, it can be a constant of the type `&'static str`, such as the `NAME` of a type with
///   `#[derive(TitoJob)]`: `event = UserChanged::NAME`. A constant that does not exist, or that no topic can have as its
///   name, does not compile. What follows, up to the next item, is about this event:
///   - `on(insert, delete)`: only for these operations (`insert`, `update`, `delete`);
///   - `delay = "1h30m"`: due so long after the start of the transaction, by the engine's clock, rounded up to whole
///     seconds. Whole numbers of `d`,
///     `h`, `m` and `s`, the largest unit first;
///   - `at = self.expires_at`: due at a time. A chrono `DateTime`, an `i64` of Unix seconds, or an `Option` of one,
///     where `None` is no event. Fractions of a second are rounded up, so it is never early. A time that has passed means
///     at once, also one before 1970; one after 9,999,999,999 (in 2286) means that second. An event takes `delay` or `at`,
///     not both;
///   - `when = self.wants_reminder`: only if this is true.
/// - `index(name = "by_org_and_email", fields(org_id, email))`: an index over fields, compared in this order. A field
///   within another one is written with its type: `fields(address.city: String)`.
///   - `unique`: no two rows can have the same values;
///   - `when = self.active`: only rows for which this is true are in the index.
/// - `entity = self.org_id`: what the events are about, which decides their partition and their order: anything that
///   implements `Display`. Default: `{table}:{id}`. For a row that is a part of something else, whose events are to be
///   in order with those of the whole.
/// - `owner = self.customer`: to whom the events belong, so that erasing all that is an owner's finds them: a text, an
///   integer, a `Uuid`, or an `Option` of one, where `None` is nobody, which is the default.
/// - `crate = path`: where `tito-core` is found, if not at `::tito_core`.
///
/// # Above a field
///
/// - `id`: the row's id, of any type that implements `Display`. Default: the field called `id`.
/// - `index`: an index over this field, `by_` and the field's name. `index(name = "...", unique, when = ...)` as above.
/// - `event = "email_changed"`: an event when the row is inserted, and when an update changes this field, which is
///   compared by `PartialEq`. With `delay`, `at` and `when` as above.
///
/// # Expressions
///
/// In `at`, `when`, `entity` and `owner`, `self` is the row: on insert and update the new one, on delete the one that is removed.
/// Names are those of the place where the struct stands.
///
/// # Fields of indexes
///
/// Text, integers, floats, booleans, `DateTime`, `Uuid`, types that implement `tito_core::keys::IndexValue`; an `Option`
/// of one, where `None` makes no entry; and a collection of them, which makes one entry an element. For every index
/// there is a constant of the type's own visibility with the index's name in upper case: a `tito_core::model::Index`
/// that queries take, so that a query over an index that does not exist, or by a value of another type, does not
/// compile. Names of indexes are identifiers in snake_case for that reason.
///
/// # Generics
///
/// Type parameters need the bounds that a model has, on the struct or in its `where` clause: `Serialize`,
/// `DeserializeOwned`, `Clone`, `Send`, `Sync`, `'static`, `IndexField` if an index is over them, `Display` for an id
/// and `PartialEq` for a field with an event. Serde adds bounds of its own to these, which `#[serde(bound = "")]` turns
/// off.
#[proc_macro_derive(TitoModel, attributes(tito))]
pub fn derive_tito_model(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let mut errors = Errors::default();
    let input = Input::parse(input, &mut errors);
    let model = valid::check(&input, &mut errors);
    let output = match errors.into_compile_errors() {
        None => expand::implementation(&input, &model),
        // A union has no serde implementation either, so that nothing can stand in for the model.
        Some(errors) if input.is_union => errors,
        Some(errors) => {
            let fallback = expand::fallback(&input, &model);
            quote!(#errors #fallback)
        }
    };
    output.into()
}

/// Makes the variants of an enum, or a struct, events of an event store.
///
/// It implements `tito_eventstore::types::EventData`. The name of an event type is the variant's or the struct's in
/// kebab-case, unless it is given. Several `#[tito(...)]` and several items in one are the same.
///
/// ```
/// use tito_core::BoxError;
/// use tito_eventstore::types::{EventData, Validator};
/// use tito_eventstore::TitoEventType;
///
/// #[derive(Debug, PartialEq, TitoEventType)]
/// #[tito(validate)]
/// enum AccountEvent {
///     Opened {
///         #[tito(sample = "Ada".to_string())]
///         owner: String,
///         #[serde(default)]
///         limit: Option<u64>,
///     },
///     #[tito(name = "money-deposited", version = 2)]
///     Deposited(#[tito(sample = 500)] u64),
///     Closed,
/// }
///
/// impl Validator for AccountEvent {
///     fn validate(&self) -> Result<(), BoxError> {
///         match self {
///             Self::Deposited(0) => Err("a deposit of nothing".into()),
///             _ => Ok(()),
///         }
///     }
/// }
///
/// let opened = AccountEvent::Opened { owner: "Ada".to_string(), limit: None };
/// assert_eq!(opened.event_type().name, "opened");
/// assert_eq!(opened.encode()?, br#"{"owner":"Ada","limit":null}"#);
/// assert_eq!(AccountEvent::decode("opened", br#"{"owner":"Ada"}"#)?, opened);
///
/// let deposited = AccountEvent::Deposited(250);
/// assert_eq!((deposited.event_type().name, deposited.event_type().version), ("money-deposited", 2));
/// assert_eq!(deposited.encode()?, b"250");
/// assert!(EventData::validate(&AccountEvent::Deposited(0)).is_err());
///
/// assert_eq!(AccountEvent::Closed.encode()?, b"{}");
/// # Ok::<(), BoxError>(())
/// ```
///
/// # What the data is
///
/// - A variant with named fields: an object of these, as JSON or MessagePack. The fields' types need serde's
///   `Serialize` and `DeserializeOwned`; the enum needs neither. The fields' `#[serde(...)]` count, as do
///   `#[serde(rename_all = "...")]` on the variant and `#[serde(rename_all_fields = "...")]` on the enum; serde's other
///   attributes on variants and enums do not.
/// - A variant or a struct with one field without a name: the field's value.
/// - A variant or a struct without fields: an object without fields, or no bytes in Protobuf and bytes.
/// - A struct with named fields: the struct, which has to be what the codec takes.
///
/// What a codec takes: `json` and `messagepack` what implements serde's `Serialize` and `DeserializeOwned`, `protobuf`
/// messages of prost, `binary` what implements `tito_eventstore::types::BinaryData`.
///
/// # Above the enum or the struct
///
/// - `codec = "json"`: how data is written; `"json"` (the default), `"messagepack"`, `"protobuf"` or `"binary"`. The
///   features of `tito-eventstore` have to be on for MessagePack and Protobuf.
/// - `validate`: the type implements `tito_eventstore::types::Validator`, by which values are checked before they are
///   appended.
/// - `crate = path`: where `tito-eventstore` is found, if not at `::tito_eventstore`.
/// - for a struct also what a variant takes.
///
/// # Above a variant
///
/// - `name = "money-deposited"`: the event type's name, a token: 1 to 255 bytes without `.`, `*`, `>`, white space and
///   control characters. It is stored with all events: to rename the variant later, write it out.
/// - `version = 2`: the version of its data, from 1, which is the default. Events of earlier versions are brought to it
///   by the upcasters of a registry.
/// - `codec = "..."`: as above, for this variant.
/// - `sample = Self::Deposited(500)`: a value by which a registry checks that it can be written and read back, and that
///   is valid.
///
/// # Above a field
///
/// - `sample = 500`: the field's value in the sample of its variant or struct; `Default::default()` otherwise.
#[proc_macro_derive(TitoEventType, attributes(tito, serde))]
pub fn derive_tito_event(input: TokenStream) -> TokenStream {
    event::derive(parse_macro_input!(input as DeriveInput)).into()
}

/// Makes a type the payload of a topic of its own, with which it is published and subscribed to.
///
/// It implements `tito_worker::TitoJob`. Beside it the type needs serde's `Serialize` and `Deserialize`. Several
/// `#[tito(...)]` and several items in one are the same.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use serde_json::Value;
/// use tito_core::BoxError;
/// use tito_worker::{Subscription, TitoJob};
///
/// #[derive(Serialize, Deserialize, TitoJob)]
/// #[tito(topic = "welcome", version = 2, upcast = from_earlier, settings = one_at_a_time)]
/// struct Welcome {
///     to: String,
/// }
///
/// /// Version 1 called it `address`.
/// fn from_earlier(_version: u32, mut payload: Value) -> Result<Value, BoxError> {
///     let members = payload.as_object_mut().ok_or("not an object")?;
///     let address = members.remove("address").ok_or("no address")?;
///     members.insert("to".to_string(), address);
///     Ok(payload)
/// }
///
/// fn one_at_a_time() -> Subscription {
///     Subscription::default().concurrency(1)
/// }
///
/// assert_eq!((Welcome::NAME, Welcome::VERSION), ("welcome", 2));
/// ```
///
/// # Above the type
///
/// - `topic = "welcome"`: the topic's name, by the rules of events of models. Default: the type's name in snake_case. It
///   is stored with all events: to rename the type later, write it out.
/// - `version = 2`: the version of the payload, from 1, which is the default.
/// - `upcast = path`: a function of a version and a payload of that version, which makes it one of the version after. The
///   default leaves payloads as they are.
/// - `settings = path`: a function that returns the `tito_worker::Subscription` by which the topic is consumed where a
///   worker does not say otherwise.
/// - `crate = path`: where `tito-worker` is found, if not at `::tito_worker`.
#[proc_macro_derive(TitoJob, attributes(tito))]
pub fn derive_tito_job(input: TokenStream) -> TokenStream {
    job::derive(&parse_macro_input!(input as DeriveInput)).into()
}
