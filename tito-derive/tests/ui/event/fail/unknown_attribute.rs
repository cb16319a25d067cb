use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
#[tito(name = "account")]
enum AccountEvent {
    #[tito(nam = "deposited")]
    Deposited {
        #[tito(name = "cents")]
        cents: u64,
    },
    #[tito(validate)]
    Closed,
}

#[derive(TitoEvent)]
#[tito(topic = "x")]
struct Opened;

fn main() {}
