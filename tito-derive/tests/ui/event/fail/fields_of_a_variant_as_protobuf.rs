use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
#[tito(codec = "protobuf")]
enum AccountEvent {
    Deposited { cents: u64 },
    #[tito(codec = "binary")]
    Closed { reason: String },
}

fn main() {}
