use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "order", owner = self.tags, owner = self.id)]
struct Order {
    id: String,
    tags: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "order", owner = self.tags)]
struct Offer {
    id: String,
    tags: Vec<String>,
}

fn main() {}
