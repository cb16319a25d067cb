use tito_core::TxOptions;
use tito_core::prelude::*;

#[derive(Debug)]
enum Refused {
    Closed,
}

async fn pay(db: Database) -> Result<(), Refused> {
    db.transaction_with(TxOptions::default(), |_| async move { Err(Refused::Closed) }).await
}

fn main() {}
