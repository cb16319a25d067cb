use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize)]
struct Address {
    city: String,
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(index(name = "by_town", fields(address.town: String)))]
struct User {
    id: String,
    address: Address,
}

fn main() {}
