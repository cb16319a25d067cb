use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
#[tito]
enum AccountEvent {
    #[tito = "closed"]
    Closed,
}

fn main() {}
