use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
enum AccountEvent<T> {
    Deposited(T),
}

fn main() {}
