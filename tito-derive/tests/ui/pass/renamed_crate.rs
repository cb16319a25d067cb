//! `tito-core` under another name, and re-exported by another module.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]

extern crate tito_core as renamed;

mod framework {
    pub(crate) mod tito {
        pub(crate) use renamed::*;
    }
}

/// Not the crate that is meant.
mod tito_core {}

use renamed::TitoModel;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(crate = renamed, event = "user", delay = "1d")]
struct User {
    #[tito(index, event = "id_changed", at = 5)]
    id: String,
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(crate = crate::framework::tito, event = "other")]
struct Other {
    #[tito(index)]
    id: String,
}

fn main() {
    assert_eq!(User::BY_ID.name(), "by_id");
    assert_eq!(Other::BY_ID.name(), "by_id");
}
