use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(index(name = "by_mail", fields(mail)))]
struct User {
    id: String,
    email: String,
}

fn main() {}
