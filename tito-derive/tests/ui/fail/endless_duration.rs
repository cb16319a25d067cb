use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "reminder", delay = "999999d")]
struct User {
    id: String,
}

fn main() {}
