use serde::{Deserialize, Serialize};
use tito_core::prelude::*;
use tito_worker::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = "user")]
struct User {
    id: String,
}

fn worker(queue: TitoQueue, user: User) -> Worker {
    Worker::builder(queue).subscribe(user, |_: TitoEvent| async { Ok::<_, TitoError>(()) }).build()
}

fn main() {}
