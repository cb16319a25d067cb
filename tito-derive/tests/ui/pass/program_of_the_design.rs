//! The design's model, word for word.
#![deny(warnings)]
#![allow(dead_code)] // Its fields are read by nobody here.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tito_core::model::Index;
use tito_core::prelude::*;

// Word for word means the layout as well.
#[rustfmt::skip]
#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(table = "user")]                                   // default: the type's name in snake_case
#[tito(event = "user")]                                   // on every write, due at once
#[tito(event = "analytics", on(insert, delete))]
#[tito(event = "reminder", delay = "1h", when = self.wants_reminder)]
#[tito(event = "expiry", at = self.expires_at)]           // chrono DateTime or i64 Unix seconds
#[tito(index(name = "by_org_and_email", fields(org_id, email), unique))]
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

fn main() {
    let _: Index<User, (String, String)> = User::BY_ORG_AND_EMAIL;
    let _: [Index<User, (String,)>; 3] = [User::BY_ORG_ID, User::BY_EMAIL, User::BY_TAGS];
    let _: Index<User, (u32,)> = User::BY_AGE;
}
