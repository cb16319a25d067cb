use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(tabel = "user")]
struct User {
    id: String,
}

fn main() {}
