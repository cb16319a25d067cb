use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize)]
struct Settings;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(index(name = "by_both", fields(id, settings)))]
struct User {
    id: String,
    settings: Settings,
}

fn main() {}
