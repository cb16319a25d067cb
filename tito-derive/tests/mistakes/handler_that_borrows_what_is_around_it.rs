use tito_core::prelude::*;
use tito_worker::prelude::*;

fn worker(queue: TitoQueue, greeting: String) -> Worker {
    Worker::builder(queue)
        .subscribe("mail", |event: TitoEvent| {
            let greeted = format!("{greeting}, {}", event.entity);
            async move {
                println!("{greeted}");
                Ok::<_, TitoError>(())
            }
        })
        .build()
}

fn main() {}
