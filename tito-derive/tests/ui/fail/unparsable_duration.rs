use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "reminder", delay = "1 hour")]
struct User {
    id: String,
}

fn main() {}
