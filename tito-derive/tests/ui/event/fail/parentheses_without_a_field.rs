use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
enum AccountEvent {
    Closed(),
}

fn main() {}
