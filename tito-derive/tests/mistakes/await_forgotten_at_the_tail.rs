use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
}

async fn sign_up(db: Database, user: User) -> Result<(), TitoError> {
    let users = db.model::<User>();
    db.transaction(|tx| async move { users.insert(&user, &tx) }).await
}

fn main() {}
