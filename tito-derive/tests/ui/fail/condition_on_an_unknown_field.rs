use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "user", when = self.active)]
struct User {
    id: String,
}

fn main() {}
