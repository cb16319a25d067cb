//! Moves an amount between two accounts, and again if another transaction was in between.
//!
//! `cargo run -p tito-tikv --example transfer -- 127.0.0.1:2379` for a cluster whose PD is there.
#![allow(clippy::print_stdout)]
use tito_tikv::{Client, Outcome, Reason};

fn amount(value: Option<Vec<u8>>) -> i64 {
    value.and_then(|value| String::from_utf8(value).ok()?.parse().ok()).unwrap_or(100)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tito_tikv::Error> {
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    let client = Client::builder(addresses).connect().await?;
    loop {
        let mut transaction = client.begin().await?;
        let from = amount(transaction.get("account/from").await?);
        let to = amount(transaction.get("account/to").await?);
        transaction.put("account/from", (from - 1).to_string());
        transaction.put("account/to", (to + 1).to_string());
        match transaction.commit().await {
            Outcome::Committed(at) => {
                println!("{} and {} since {at}", from - 1, to + 1);
                break;
            }
            Outcome::NotCommitted(Reason::Conflict { key, .. }) => println!("somebody else has written {key}, again"),
            Outcome::NotCommitted(reason) => {
                println!("nothing was moved: {reason}");
                break;
            }
            Outcome::Unknown(error) => {
                println!("it may have been moved: {error}");
                break;
            }
        }
    }
    client.close().await;
    Ok(())
}
