use tito_core::prelude::*;
use tito_worker::Payload;
use tito_worker::prelude::*;

struct Mail;

async fn send(_: Payload<Mail>) -> Result<(), TitoError> {
    Ok(())
}

fn worker(queue: TitoQueue) -> Worker {
    Worker::builder(queue).subscribe("mail", send).build()
}

fn main() {}
