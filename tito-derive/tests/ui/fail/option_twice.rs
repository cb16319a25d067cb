use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(table = "a", table = "b", event = "user", delay = "1h", delay = "2h")]
struct User {
    id: String,
    #[tito(index(unique, unique))]
    email: String,
}

fn main() {}
