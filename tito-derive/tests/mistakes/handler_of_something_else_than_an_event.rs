use tito_core::prelude::*;
use tito_worker::prelude::*;

struct Mail;

fn worker(queue: TitoQueue) -> Worker {
    Worker::builder(queue).subscribe("mail", |_: Mail| async move { Ok::<_, TitoError>(()) }).build()
}

fn main() {}
