//! A model over types and constants that its users choose.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tito_core::keys::IndexField;
use tito_core::model::Index;
use tito_core::model::TitoSchema;
use tito_core::prelude::*;

/// A row around any value.
#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[serde(bound = "")]
#[tito(event = "wrapped", when = Self::WATCHED)]
pub struct Wrapper<K, T, const WATCHED: bool = true>
where
    K: Display + Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    T: IndexField + PartialEq + Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    id: K,
    #[tito(index, event = "changed")]
    value: Option<T>,
}

impl<K, T, const WATCHED: bool> Wrapper<K, T, WATCHED>
where
    K: Display + Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    T: IndexField + PartialEq + Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    const WATCHED: bool = WATCHED;
}

fn main() {
    let row = Wrapper::<u64, Vec<i8>> { id: 7, value: Some(vec![1, 2]) };
    assert_eq!(row.id(), "7");
    assert_eq!(row.index_entries().map_or(0, |entries| entries.len()), 2);
    let _: Index<Wrapper<u64, Vec<i8>>, (i8,)> = Wrapper::BY_VALUE;
}
