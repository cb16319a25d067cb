use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
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

#[derive(TitoEventType)]
#[tito(topic = "x")]
struct Opened;

fn main() {}
