use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
enum AccountEvent {
    #[tito(name = deposited)]
    Deposited,
}

fn main() {}
