//! Topics of events by the constants that name them, and owners.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]

use serde::{Deserialize, Serialize};
use tito_core::model::TitoSchema;
use tito_core::prelude::*;
use tito_worker::prelude::*;

mod names {
    pub(crate) const AUDIT: &str = "audit";
}

#[derive(Serialize, Deserialize, TitoJob)]
struct OrderPlaced;

#[derive(Serialize, Deserialize, TitoJob)]
#[tito(topic = "reminder")]
struct RemindToPay;

trait HasTopic {
    const TOPIC: &'static str;
}

#[derive(Clone, Serialize, Deserialize)]
struct Paid;

impl HasTopic for Paid {
    const TOPIC: &'static str = "paid";
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = OrderPlaced::NAME, on(insert))]
#[tito(event = RemindToPay::NAME, delay = "1h", when = !self.is_paid, event = crate::names::AUDIT)]
#[tito(owner = self.customer)]
struct Order {
    id: u64,
    customer: Option<String>,
    #[tito(event = <Paid as HasTopic>::TOPIC, when = self.is_paid)]
    is_paid: bool,
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(event = T::TOPIC, owner = self.id)]
struct Of<T: HasTopic + Serialize + serde::de::DeserializeOwned + Clone + Send + Sync + 'static> {
    id: u64,
    #[serde(bound = "")]
    of: Option<T>,
}

fn main() {
    let order = Order { id: 7, customer: Some("ada".to_string()), is_paid: false };
    assert_eq!(order.owner().as_deref(), Some("ada"));
    assert_eq!(Order { customer: None, ..order.clone() }.owner(), None);
    let of = Of::<Paid> { id: 7, of: None };
    assert_eq!(of.owner().as_deref(), Some("7"));
}
