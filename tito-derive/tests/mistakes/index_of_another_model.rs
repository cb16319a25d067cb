use serde::{Deserialize, Serialize};
use tito_core::Transaction;
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
    #[tito(index)]
    email: String,
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct Invoice {
    id: String,
}

async fn of(db: Database, tx: &Transaction) -> Result<Vec<Invoice>, TitoError> {
    db.model::<Invoice>().query(User::BY_EMAIL).all(tx).await
}

fn main() {}
