use tito_eventstore::TitoEvent;

#[derive(TitoEvent)]
union AccountEvent {
    cents: u64,
    bytes: [u8; 8],
}

fn main() {}
