use tito_eventstore::TitoEvent;

#[derive(Default)]
struct Cents(u64);

#[derive(TitoEvent)]
enum AccountEvent {
    Deposited(Cents),
}

fn main() {}
