use tito_eventstore::TitoEventType;

#[derive(TitoEventType)]
union AccountEvent {
    cents: u64,
    bytes: [u8; 8],
}

fn main() {}
