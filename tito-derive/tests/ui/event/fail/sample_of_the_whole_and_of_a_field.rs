use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
enum AccountEvent {
    #[tito(sample = Self::Deposited(5))]
    Deposited(#[tito(sample = 5)] u64),
}

fn main() {}
