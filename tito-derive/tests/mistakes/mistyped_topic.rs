use serde::{Deserialize, Serialize};
use tito_core::prelude::*;
use tito_worker::prelude::*;

#[derive(Serialize, Deserialize, TitoJob)]
struct Welcome {
    to: String,
}

fn worker(queue: TitoQueue) -> Worker {
    Worker::builder(queue).subscribe(Welcom::TOPIC, |_: TitoEvent| async { Ok::<_, TitoError>(()) }).build()
}

fn main() {}
