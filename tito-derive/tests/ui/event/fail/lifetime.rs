use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
struct Opened<'a> {
    owner: &'a str,
}

fn main() {}
