use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    #[tito(index)]
    id: String,
    #[tito(index(name = "by_id"))]
    email: String,
}

fn main() {}
