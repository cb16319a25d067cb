use tito_core::prelude::*;
use tito_worker::prelude::*;

fn send(_: TitoEvent) -> Result<(), TitoError> {
    Ok(())
}

fn worker(queue: TitoQueue) -> Worker {
    Worker::builder(queue).subscribe("mail", send).build()
}

fn main() {}
