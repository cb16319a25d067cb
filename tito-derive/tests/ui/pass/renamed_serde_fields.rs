//! Indexes and events are about Rust's fields, whatever serde calls them.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use tito_core::model::TitoSchema;
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[serde(rename_all = "camelCase", rename = "person")]
#[tito(index(name = "by_both", fields(org_id, email)))]
struct User {
    #[serde(rename = "_id")]
    id: String,
    org_id: String,
    #[serde(rename = "mail", default)]
    #[tito(index, event = "email_changed")]
    email: String,
    #[serde(rename = "isCached")]
    #[tito(index)]
    cached: bool,
    /// Left out, and nothing rests on it.
    #[serde(skip)]
    draft: bool,
}

fn main() {
    assert_eq!(User::table(), "user");
    let names: Vec<_> = User::index_definitions().into_iter().map(|index| index.name).collect();
    assert_eq!(names, ["by_both", "by_email", "by_cached"]);
}
