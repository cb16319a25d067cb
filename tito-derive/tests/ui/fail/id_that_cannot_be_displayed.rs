use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    id: Vec<u8>,
}

fn main() {}
