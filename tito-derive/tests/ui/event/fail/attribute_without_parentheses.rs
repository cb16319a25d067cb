use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
#[tito]
enum AccountEvent {
    #[tito = "closed"]
    Closed,
}

fn main() {}
