use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
enum AccountEvent<T> {
    Deposited(T),
}

fn main() {}
