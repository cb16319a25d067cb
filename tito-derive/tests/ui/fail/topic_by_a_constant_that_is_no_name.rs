use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

const OF_A_GROUP: &str = "order@audit";

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = OF_A_GROUP)]
struct Order {
    id: String,
}

fn main() {}
