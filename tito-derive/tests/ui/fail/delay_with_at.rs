use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "reminder", delay = "1h", at = self.due)]
struct User {
    id: String,
    due: i64,
}

fn main() {}
