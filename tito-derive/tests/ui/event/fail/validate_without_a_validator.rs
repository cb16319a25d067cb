use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
#[tito(validate)]
enum AccountEvent {
    Closed,
}

fn main() {}
