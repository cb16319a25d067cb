use tito_core::prelude::*;
use tito_worker::Payload;
use tito_worker::prelude::*;

async fn send(_: Vec<TitoEvent>, _: Payload<String>) -> Result<(), TitoError> {
    Ok(())
}

fn worker(queue: TitoQueue) -> Worker {
    Worker::builder(queue).subscribe("mail", send).build()
}

fn main() {}
