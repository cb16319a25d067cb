use tito_core::prelude::*;
use tito_worker::prelude::*;

async fn send(event: TitoEvent) {
    println!("{}", event.entity);
}

fn worker(queue: TitoQueue) -> Worker {
    Worker::builder(queue).subscribe("mail", send).build()
}

fn main() {}
