use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = user, delay = "1h")]
struct User {
    id: String,
}

fn main() {}
