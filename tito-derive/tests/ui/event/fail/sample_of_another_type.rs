use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
enum AccountEvent {
    #[tito(sample = 5)]
    Deposited(u64),
    Opened {
        #[tito(sample = "Ada")]
        owner: String,
    },
}

fn main() {}
