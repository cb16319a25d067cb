use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    #[tito(id)]
    id: String,
    #[tito(id)]
    email: String,
}

fn main() {}
