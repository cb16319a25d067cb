use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(index(name = "by_id", fields(id, id)))]
struct User {
    id: String,
}

fn main() {}
