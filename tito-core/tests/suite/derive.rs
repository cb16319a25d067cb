//! What `#[derive(TitoModel)]` implements, on real values.

use chrono::{DateTime, FixedOffset, Utc};
use serde::{Deserialize, Serialize};
use tito_core::Now;
use tito_core::event::TitoEventConfig;
use tito_core::keys::IndexValue;
use tito_core::model::Index;
use tito_core::model::{Change, IndexDefinition, IndexEntry, TitoOperation, TitoSchema};
use tito_core::prelude::*;
use uuid::Uuid;

// The design's program, word for word.
#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(table = "user")]                                   // default: the type's name in snake_case
#[tito(event = "user")]                                   // on every write, due at once
#[tito(event = "analytics", on(insert, delete))]
#[tito(event = "reminder", delay = "1h", when = self.wants_reminder)]
#[tito(event = "expiry", at = self.expires_at)]           // chrono DateTime or i64 Unix seconds
#[tito(index(name = "by_org_and_email", fields(org_id, email), unique))]
#[rustfmt::skip]
struct User {
    #[tito(id)]                                           // default: the field called `id`; any key type (String, Uuid, u64, …)
    id: String,
    #[tito(index)]                                        // "by_org_id"
    org_id: String,
    #[tito(index, event = "email_changed", delay = "1h")] // a field's event: on insert, and when this field changes
    email: String,
    #[tito(index(name = "by_age", when = self.active))]
    age: u32,
    #[tito(index)]                                        // one entry an element
    tags: Vec<String>,
    active: bool,
    wants_reminder: bool,
    expires_at: DateTime<Utc>,
}

const NOW: i64 = 1_700_000_000;
const EXPIRY: i64 = 1_800_000_000;

fn user() -> User {
    User {
        id: "u1".to_string(),
        org_id: "acme".to_string(),
        email: "ada@example.com".to_string(),
        age: 36,
        tags: vec!["b".to_string(), "a".to_string(), "b".to_string()],
        active: true,
        wants_reminder: true,
        expires_at: DateTime::from_timestamp(EXPIRY, 0).unwrap(),
    }
}

fn change<'a, M>(operation: TitoOperation, old: Option<&'a M>, row: &'a M) -> Change<'a, M> {
    Change { operation, old, row, now: Now::from_millis(NOW as u64 * 1000 + 999) }
}

fn inserted<M: TitoSchema>(row: &M) -> Vec<TitoEventConfig> {
    M::events(&change(TitoOperation::Insert, None, row))
}

fn updated<M: TitoSchema>(old: &M, row: &M) -> Vec<TitoEventConfig> {
    M::events(&change(TitoOperation::Update, Some(old), row))
}

fn deleted<M: TitoSchema>(row: &M) -> Vec<TitoEventConfig> {
    M::events(&change(TitoOperation::Delete, Some(row), row))
}

fn names(events: &[TitoEventConfig]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

fn definition(name: &'static str, unique: bool, covers: &'static str) -> IndexDefinition {
    IndexDefinition { name: name.into(), unique, covers: covers.into() }
}

fn entry(name: &'static str, values: &[&dyn Encode]) -> IndexEntry {
    let fields: Vec<_> = values.iter().map(|value| value.encoded()).collect();
    IndexEntry { name: name.into(), unique: false, fields: fields.join(&b':') }
}

/// `IndexValue` in a form that lists of different values can hold.
trait Encode {
    fn encoded(&self) -> Vec<u8>;
}

impl<T: IndexValue> Encode for T {
    fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out).unwrap();
        out
    }
}

#[test]
fn the_table_the_id_and_the_entity_are_those_of_the_attributes() {
    assert_eq!(User::table(), "user");
    assert_eq!(user().id(), "u1");
    assert_eq!(user().entity(), "user:u1");
}

#[test]
fn index_definitions_are_those_of_the_model_then_those_of_the_fields() {
    assert_eq!(
        User::index_definitions(),
        [
            definition("by_org_and_email", true, "org_id:String,email:String"),
            definition("by_org_id", false, "org_id:String"),
            definition("by_email", false, "email:String"),
            definition("by_age", false, "age:u32 when self.active"),
            definition("by_tags", false, "tags:Vec<String>"),
        ]
    );
}

#[test]
fn every_index_has_a_typed_handle() {
    let by_org_and_email: Index<User, (String, String)> = User::BY_ORG_AND_EMAIL;
    let by_age: Index<User, (u32,)> = User::BY_AGE;
    let by_tags: Index<User, (String,)> = User::BY_TAGS;
    assert_eq!((by_org_and_email.name(), by_org_and_email.is_unique()), ("by_org_and_email", true));
    assert_eq!((by_age.name(), by_age.is_unique()), ("by_age", false));
    assert_eq!((by_tags.name(), by_tags.is_unique()), ("by_tags", false));
    assert_eq!([User::BY_ORG_ID, User::BY_EMAIL].map(|handle| handle.name()), ["by_org_id", "by_email"]);
}

#[test]
fn a_row_has_its_entries_in_every_index() {
    assert_eq!(
        user().index_entries().unwrap(),
        [
            IndexEntry { unique: true, ..entry("by_org_and_email", &[&"acme", &"ada@example.com"]) },
            entry("by_org_id", &[&"acme"]),
            entry("by_email", &[&"ada@example.com"]),
            entry("by_age", &[&36_u32]),
            entry("by_tags", &[&"a"]),
            entry("by_tags", &[&"b"]),
        ]
    );
}

#[test]
fn a_row_that_does_not_meet_an_indexs_condition_has_no_entry_in_it() {
    let entries = User { active: false, tags: Vec::new(), ..user() }.index_entries().unwrap();
    let names: Vec<_> = entries.iter().map(|entry| &*entry.name).collect();
    assert_eq!(names, ["by_org_and_email", "by_org_id", "by_email"]);
}

#[test]
fn an_insert_has_its_events_with_their_times() {
    // The transaction began 999 ms after NOW, and delays are rounded up.
    assert_eq!(
        inserted(&user()),
        [
            TitoEventConfig::immediate("user"),
            TitoEventConfig::immediate("analytics"),
            TitoEventConfig::at("reminder", NOW + 3601),
            TitoEventConfig::at("expiry", EXPIRY),
            TitoEventConfig::at("email_changed", NOW + 3601),
        ]
    );
}

#[test]
fn a_fields_event_is_for_updates_that_change_the_field() {
    let old = user();
    assert_eq!(names(&updated(&old, &User { age: 37, ..user() })), ["user", "reminder", "expiry"]);
    let new = User { email: "ada@example.org".to_string(), ..user() };
    assert_eq!(names(&updated(&old, &new)), ["user", "reminder", "expiry", "email_changed"]);
}

#[test]
fn a_delete_has_the_events_that_are_for_deletes_and_none_of_a_field() {
    assert_eq!(names(&deleted(&user())), ["user", "analytics", "reminder", "expiry"]);
}

#[test]
fn conditions_look_at_the_row_that_is_written() {
    let without = User { wants_reminder: false, ..user() };
    assert_eq!(names(&updated(&user(), &without)), ["user", "expiry"]);
    assert_eq!(names(&updated(&without, &user())), ["user", "reminder", "expiry"]);
}

#[derive(Clone, Serialize, Deserialize)]
struct Address {
    city: String,
    lines: Vec<String>,
    zip: Option<u32>,
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(
    entity = self.account_id,
    index(name = "by_city", fields(address.city: String, number)),
    index(name = "by_line", fields(address.lines: Vec<String>), when = self.number > 1 && !self.address.lines.is_empty()),
    event = "optional", at = self.due,
    event = "seconds", at = self.seconds, when = self.seconds != 0, on(insert),
    event = "zoned", at = self.zoned.map(|zoned| zoned + chrono::Duration::minutes(1)), on(update),
    index(name = "by_zip", fields(address.zip: Option<u32>), unique),
)]
struct PurchaseOrder {
    #[tito(id)]
    number: u64,
    id: u8,
    account_id: Uuid,
    address: Address,
    due: Option<DateTime<Utc>>,
    #[tito(event = "seconds_changed", event = "seconds_negative", when = self.seconds < 0)]
    seconds: i64,
    zoned: Option<DateTime<FixedOffset>>,
    #[tito(index(name = "by_kind", unique))]
    r#type: Option<String>,
    #[tito(index)]
    r#where: char,
}

fn order() -> PurchaseOrder {
    PurchaseOrder {
        number: 7,
        id: 3,
        account_id: Uuid::from_u128(1),
        address: Address { city: "Berlin".to_string(), lines: vec!["x".to_string()], zip: Some(10_115) },
        due: None,
        seconds: -5,
        zoned: DateTime::parse_from_rfc3339("2023-11-14T23:13:20.5+01:00").ok(),
        r#type: None,
        r#where: 'z',
    }
}

#[test]
fn a_table_is_named_after_its_type_by_default() {
    assert_eq!(PurchaseOrder::table(), "purchase_order");
}

#[test]
fn a_marked_id_comes_before_a_field_called_id_and_is_displayed() {
    assert_eq!(order().id(), "7");
}

#[test]
fn events_can_be_about_another_entity() {
    assert_eq!(order().entity(), "00000000-0000-0000-0000-000000000001");
}

#[test]
fn nested_fields_and_options_make_entries_of_their_values() {
    assert_eq!(
        order().index_entries().unwrap(),
        [
            entry("by_city", &[&"Berlin", &7_u64]),
            entry("by_line", &[&"x"]),
            IndexEntry { unique: true, ..entry("by_zip", &[&10_115_u32]) },
            entry("by_where", &[&'z']),
        ]
    );
    let _: Index<PurchaseOrder, (String, u64)> = PurchaseOrder::BY_CITY;
    let _: Index<PurchaseOrder, (u32,)> = PurchaseOrder::BY_ZIP;
    let _: Index<PurchaseOrder, (String,)> = PurchaseOrder::BY_KIND;
    assert!(PurchaseOrder::BY_KIND.is_unique());
}

#[test]
fn times_are_options_zoned_instants_and_seconds_of_any_sign() {
    assert_eq!(
        inserted(&order()),
        [
            // Before 1970, which is past.
            TitoEventConfig::at("seconds", 0),
            TitoEventConfig::immediate("seconds_changed"),
            TitoEventConfig::immediate("seconds_negative"),
        ]
    );
    let due = PurchaseOrder { due: DateTime::from_timestamp(EXPIRY, 0), seconds: i64::MAX, ..order() };
    assert_eq!(
        updated(&order(), &due),
        [
            TitoEventConfig::at("optional", EXPIRY),
            TitoEventConfig::at("zoned", NOW + 60),
            TitoEventConfig::immediate("seconds_changed"),
        ]
    );
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct Reading {
    id: String,
    #[tito(index)]
    value: f64,
}

#[test]
fn a_value_that_an_index_cannot_hold_is_an_error_that_names_the_index() {
    let error = Reading { id: "r".to_string(), value: f64::NAN }.index_entries().unwrap_err();
    assert!(
        matches!(&error, TitoError::InvalidIndexValue { table, index, .. } if table == "reading" && index == "by_value")
    );
}

#[test]
fn a_model_without_events_has_none() {
    assert_eq!(inserted(&Reading { id: "r".to_string(), value: 0.0 }), []);
}
