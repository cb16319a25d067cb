use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
#[tito(codec = "xml")]
enum AccountEvent {
    #[tito(codec = "JSON")]
    Closed,
}

fn main() {}
