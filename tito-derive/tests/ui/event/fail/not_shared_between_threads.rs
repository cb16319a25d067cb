use tito_eventstore::TitoEventType;

use std::rc::Rc;

#[derive(TitoEventType)]
#[tito(codec = "binary")]
struct Opened(Owner);

#[derive(Default)]
struct Owner(Rc<String>);

impl tito_eventstore::types::BinaryData for Owner {
    fn to_bytes(&self) -> Vec<u8> {
        Vec::new()
    }

    fn from_bytes(_: &[u8]) -> Result<Self, tito_core::BoxError> {
        Ok(Self::default())
    }
}

fn main() {}
