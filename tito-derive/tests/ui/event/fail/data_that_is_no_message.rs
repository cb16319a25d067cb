use tito_eventstore::TitoEvent;

#[derive(Default)]
struct Cents(u64);

#[derive(TitoEvent)]
enum AccountEvent {
    #[tito(codec = "protobuf")]
    Deposited(Cents),
    #[tito(codec = "binary")]
    Withdrawn(Cents),
}

fn main() {}
