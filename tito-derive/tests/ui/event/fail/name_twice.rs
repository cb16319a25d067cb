use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
enum AccountEvent {
    MoneyDeposited,
    #[tito(name = "money-deposited")]
    Other,
}

fn main() {}
