use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
enum AccountEvent {
    Deposited(u64, String),
}

#[derive(TitoEventType)]
struct Opened(String, u64);

fn main() {}
