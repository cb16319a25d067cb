use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

const NUMBER: u32 = 17;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = NUMBER)]
struct Order {
    id: String,
}

fn main() {}
