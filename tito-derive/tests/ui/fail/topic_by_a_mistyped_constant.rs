use serde::{Deserialize, Serialize};
use tito_core::prelude::*;
use tito_worker::prelude::*;

#[derive(Serialize, Deserialize, TitoJob)]
struct OrderPlaced;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = OrderPlacd::NAME, on(insert))]
struct Order {
    id: String,
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = OrderPlaced::NAMES)]
struct Offer {
    id: String,
}

fn main() {}
