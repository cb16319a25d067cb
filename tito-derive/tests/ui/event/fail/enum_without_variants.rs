use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
enum AccountEvent {}

fn main() {}
