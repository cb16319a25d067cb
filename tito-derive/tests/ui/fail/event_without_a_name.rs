use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = 17, delay = "1h")]
struct User {
    id: String,
}

fn main() {}
