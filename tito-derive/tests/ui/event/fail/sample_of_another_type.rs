use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
enum AccountEvent {
    #[tito(sample = 5)]
    Deposited(u64),
    Opened {
        #[tito(sample = "Ada")]
        owner: String,
    },
}

fn main() {}
