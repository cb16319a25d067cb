use tito_core::prelude::*;
use tito_worker::prelude::*;

fn worker(queue: TitoQueue) -> Worker {
    Worker::builder(queue)
        .subscribe("mail", |event: TitoEvent| async {
            println!("{}", event.entity);
            Ok::<_, TitoError>(())
        })
        .build()
}

fn main() {}
