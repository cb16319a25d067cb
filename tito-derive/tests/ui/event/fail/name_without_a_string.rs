use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
enum AccountEvent {
    #[tito(name = deposited)]
    Deposited,
}

fn main() {}
