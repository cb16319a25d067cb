use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(table = "a:b")]
struct User {
    id: String,
}

fn main() {}
