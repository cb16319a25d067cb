use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
enum AccountEvent {
    #[tito(sample = Self::Deposited(5))]
    Deposited(#[tito(sample = 5)] u64),
}

fn main() {}
