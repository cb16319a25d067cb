use tito_eventstore::TitoEventType;

#[derive(Default)]
struct Cents(u64);

#[derive(TitoEventType)]
enum AccountEvent {
    Deposited(Cents),
}

fn main() {}
