use serde::{Deserialize, Serialize};
use tito_core::prelude::*;
use tito_worker::Payload;
use tito_worker::prelude::*;

#[derive(Serialize, Deserialize, TitoJob)]
struct Welcome {
    to: String,
}

#[derive(Serialize, Deserialize, TitoJob)]
struct Goodbye {
    to: String,
}

async fn wave(Payload(goodbye): Payload<Goodbye>) -> Result<(), TitoError> {
    println!("{}", goodbye.to);
    Ok(())
}

fn worker(queue: TitoQueue) -> Worker {
    Worker::builder(queue).subscribe(Welcome::TOPIC, wave).build()
}

fn main() {}
