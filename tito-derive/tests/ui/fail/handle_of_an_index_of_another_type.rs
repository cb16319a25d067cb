use serde::{Deserialize, Serialize};
use tito_core::{model::Index, prelude::*};

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
    #[tito(index)]
    email: String,
}

fn main() {
    let _: Index<User, (u32,)> = User::BY_EMAIL;
}
