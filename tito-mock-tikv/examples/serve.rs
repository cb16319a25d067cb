//! Serves a cluster until Ctrl-C, for trying a client of TiKV without one:
//!
//! `cargo run -p tito-mock-tikv --example serve`
//!
//! The number of stores is 3, or the first argument. Everything is kept in memory and gone at the end.
#![allow(clippy::print_stdout)]

use tito_mock_tikv::MockCluster;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stores = std::env::args().nth(1).map_or(Ok(3), |stores| stores.parse())?;
    let boundaries = ["data:", "event:", "index:"];
    let cluster = MockCluster::builder().stores(stores).split_at(boundaries).start().await?;
    println!("a cluster of {stores} stores is up; its PD is TITO_PD={}", cluster.pd_endpoints().join(","));
    tokio::signal::ctrl_c().await?;
    cluster.shutdown().await;
    Ok(())
}
