use tito_core::prelude::*;

struct Receipt(String);

impl Receipt {
    fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

async fn keep(db: Database, receipt: Receipt) -> Result<(), TitoError> {
    db.transaction(move |tx| async move { tx.put(b"receipt".to_vec(), receipt.into_bytes()).await }).await
}

fn main() {}
