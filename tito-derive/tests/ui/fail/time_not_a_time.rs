use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "user", at = self.id)]
struct User {
    id: String,
}

fn main() {}
