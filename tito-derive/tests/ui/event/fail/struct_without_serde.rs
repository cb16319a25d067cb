use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
struct Deposited {
    cents: u64,
}

fn main() {}
