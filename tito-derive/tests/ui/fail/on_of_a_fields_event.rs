use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
    #[tito(event = "email_changed", on(update))]
    email: String,
}

fn main() {}
