use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
enum AccountEvent {
    Deposited(u64, String),
}

#[derive(TitoEvent)]
struct Opened(String, u64);

fn main() {}
