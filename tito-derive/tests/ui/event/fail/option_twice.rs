use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
#[tito(codec = "json", validate)]
#[tito(codec = "json", validate, crate = tito_eventstore, crate = tito_eventstore)]
enum AccountEvent {
    #[tito(name = "a", name = "b", version = 1, version = 2)]
    Opened,
    #[tito(sample = Self::Closed(1), sample = Self::Closed(2))]
    Closed(u64),
}

fn main() {}
