use tito_eventstore::TitoEventType;

#[derive(Default)]
struct Cents(u64);

#[derive(TitoEventType)]
enum AccountEvent {
    #[tito(codec = "protobuf")]
    Deposited(Cents),
    #[tito(codec = "binary")]
    Withdrawn(Cents),
}

fn main() {}
