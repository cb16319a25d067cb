use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
    #[tito(indexed)]
    email: String,
}

fn main() {}
