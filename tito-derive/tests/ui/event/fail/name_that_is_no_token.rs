use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
enum AccountEvent {
    #[tito(name = "")]
    Empty,
    #[tito(name = "money.deposited")]
    Dot,
    #[tito(name = "money-*")]
    Star,
    #[tito(name = "money>")]
    Greater,
    #[tito(name = "money deposited")]
    Space,
    #[tito(name = "money\0")]
    Control,
    #[tito(name = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm")]
    Long,
}

fn main() {}
