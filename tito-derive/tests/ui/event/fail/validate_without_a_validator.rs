use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
#[tito(validate)]
enum AccountEvent {
    Closed,
}

fn main() {}
