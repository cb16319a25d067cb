use tito_core::prelude::*;
use tito_worker::prelude::*;

fn worker(queue: TitoQueue, greeting: String) -> Worker {
    Worker::builder(queue)
        .subscribe("mail", |event: TitoEvent| async {
            println!("{greeting}, {}", event.entity);
            Ok::<_, TitoError>(())
        })
        .build()
}

fn main() {}
