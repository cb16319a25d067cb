use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "user", on())]
struct User {
    id: String,
}

fn main() {}
