//! A model whose parts come out of a `macro_rules!`.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]

use serde::{Deserialize, Serialize};
use tito_core::model::Index;
use tito_core::model::TitoSchema;
use tito_core::prelude::*;

macro_rules! model {
    ($name:ident, $event:literal, $field:ident: $ty:ty, $when:expr) => {
        #[derive(Clone, Serialize, Deserialize, TitoModel)]
        #[tito(event = $event, when = self.$field > $when, index(name = "by_both", fields(id, $field)))]
        struct $name {
            id: String,
            #[tito(index)]
            $field: $ty,
        }
    };
}

model!(Account, "account", balance: i64, 10 - 3);

fn main() {
    assert_eq!(Account::table(), "account");
    let _: Index<Account, (String, i64)> = Account::BY_BOTH;
}
