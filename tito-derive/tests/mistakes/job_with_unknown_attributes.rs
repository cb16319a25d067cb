use serde::{Deserialize, Serialize};
use tito_worker::prelude::*;

#[derive(Serialize, Deserialize, TitoJob)]
#[tito(topik = "welcome", version = 0)]
struct Welcome {
    to: String,
}

#[derive(Serialize, Deserialize, TitoJob)]
#[tito(topic = "wel:come", upcast = from_earlier)]
struct Other {
    to: String,
}

fn main() {}
