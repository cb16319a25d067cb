use tito_core::prelude::*;
use tito_worker::State;
use tito_worker::prelude::*;

#[derive(Clone)]
struct Mailer;

async fn send(_: State<Mailer>, _: TitoEvent) -> Result<(), TitoError> {
    Ok(())
}

fn worker(queue: TitoQueue) -> Worker {
    Worker::builder(queue).subscribe("mail", send).build()
}

fn main() {}
