use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
enum AccountEvent {
    #[tito(version = 0)]
    Opened,
    #[tito(version = 4294967296)]
    Deposited,
    #[tito(version = -1)]
    Withdrawn,
    #[tito(version = "2")]
    Closed,
}

fn main() {}
