use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
struct Opened<'a> {
    owner: &'a str,
}

fn main() {}
