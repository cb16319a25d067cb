use tito_eventstore::TitoEventType;

#[derive(Debug)]
enum Currency {
    Euro,
}

#[derive(TitoEventType)]
#[tito(codec = "binary")]
struct Deposited(Currency);

impl tito_eventstore::types::BinaryData for Currency {
    fn to_bytes(&self) -> Vec<u8> {
        Vec::new()
    }

    fn from_bytes(_: &[u8]) -> Result<Self, tito_core::BoxError> {
        Ok(Self::Euro)
    }
}

fn main() {}
