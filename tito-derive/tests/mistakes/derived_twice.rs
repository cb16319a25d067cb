use serde::{Deserialize, Serialize};
use tito_worker::prelude::*;

#[derive(Serialize, Deserialize, TitoJob, TitoJob)]
struct Welcome {
    to: String,
}

fn main() {}
