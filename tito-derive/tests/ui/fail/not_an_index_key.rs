use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize)]
struct Settings;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
    #[tito(index)]
    settings: Settings,
}

fn main() {}
