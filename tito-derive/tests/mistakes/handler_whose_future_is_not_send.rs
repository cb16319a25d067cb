use std::rc::Rc;

use tito_core::prelude::*;
use tito_worker::prelude::*;

async fn pause() {}

async fn send(event: TitoEvent) -> Result<(), TitoError> {
    let entity = Rc::new(event.entity);
    pause().await;
    println!("{entity}");
    Ok(())
}

fn worker(queue: TitoQueue) -> Worker {
    Worker::builder(queue).subscribe("mail", send).build()
}

fn main() {}
