use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(index(name = "by_nothing", fields()))]
struct User {
    id: String,
}

fn main() {}
