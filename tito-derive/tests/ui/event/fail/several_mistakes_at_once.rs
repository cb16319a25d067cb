use tito_eventstore::types::{EventData, Registry};
use tito_eventstore::{NewEvent, TitoEventType};

#[derive(TitoEventType)]
#[tito(codec = "xml", nam = "x")]
enum AccountEvent {
    #[tito(name = "a.b", version = 0)]
    Opened { owner: String },
    Deposited(u64, u64),
    #[tito(sample = )]
    Closed,
    #[tito(name = "closed")]
    Shut,
}

fn main() {
    // None of these has an error of its own.
    let _ = NewEvent::new("account.17", AccountEvent::Closed);
    let _ = Registry::builder().event::<AccountEvent>();
    let _ = AccountEvent::Closed.encode();
}
