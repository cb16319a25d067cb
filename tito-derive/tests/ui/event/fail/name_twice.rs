use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
enum AccountEvent {
    MoneyDeposited,
    #[tito(name = "money-deposited")]
    Other,
}

fn main() {}
