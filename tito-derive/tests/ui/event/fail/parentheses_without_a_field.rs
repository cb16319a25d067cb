use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
enum AccountEvent {
    Closed(),
}

fn main() {}
