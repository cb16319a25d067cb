use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
enum AccountEvent {}

fn main() {}
