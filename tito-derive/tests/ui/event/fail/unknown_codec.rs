use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
#[tito(codec = "xml")]
enum AccountEvent {
    #[tito(codec = "JSON")]
    Closed,
}

fn main() {}
