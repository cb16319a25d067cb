use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
#[tito(codec = "protobuf")]
enum AccountEvent {
    Deposited { cents: u64 },
    #[tito(codec = "binary")]
    Closed { reason: String },
}

fn main() {}
