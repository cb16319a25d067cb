//! Visibilities and places of every kind, with names of std taken by others.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]

mod outer {
    pub(crate) mod inner {
        use serde::{Deserialize, Serialize};
        use tito_core::prelude::*;

        #[derive(Clone, Serialize, Deserialize, TitoModel)]
        #[tito(event = "user", at = super::noon(self.day))]
        pub(in crate::outer) struct User {
            pub(super) id: String,
            #[tito(index)]
            day: i64,
        }
    }

    fn noon(day: i64) -> i64 {
        day * 86_400 + 43_200
    }

    pub(super) fn name() -> &'static str {
        inner::User::BY_DAY.name()
    }
}

mod taken {
    #![allow(dead_code, non_camel_case_types)]

    struct Vec;
    struct String;
    struct Option;
    struct Some;
    struct Result;
    struct Ok;
    struct bool;
    struct i64;
    mod std {}
    mod core {}

    #[derive(Clone, ::serde::Serialize, ::serde::Deserialize, ::tito_core::TitoModel)]
    #[tito(event = "e", delay = "1s", event = "f", at = self.at, when = self.at > 0)]
    struct Model {
        #[tito(index(when = self.at == 0), event = "changed")]
        id: ::std::string::String,
        at: ::core::primitive::i64,
    }
}

/// Seen from outside, with an index over a type that is not.
#[derive(Clone, serde::Serialize, serde::Deserialize, tito_core::TitoModel)]
pub struct Public {
    id: String,
    #[tito(index)]
    private: Private,
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Private;

impl tito_core::keys::IndexValue for Private {
    type Kind = Private;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), tito_core::keys::InvalidIndexValue> {
        "private".encode(out)
    }
}

fn main() {
    #[derive(Clone, serde::Serialize, serde::Deserialize, tito_core::TitoModel)]
    struct Local {
        #[tito(index)]
        id: u64,
    }

    assert_eq!(outer::name(), "by_day");
    assert_eq!(Local::BY_ID.name(), "by_id");
    assert_eq!(Public::BY_PRIVATE.name(), "by_private");
}
