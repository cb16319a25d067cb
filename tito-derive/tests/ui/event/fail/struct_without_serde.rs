use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
struct Deposited {
    cents: u64,
}

fn main() {}
