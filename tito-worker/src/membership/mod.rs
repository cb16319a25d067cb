//! Automatic ownership.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use tito_core::TitoEngine;
use tokio::sync::watch;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub member: Uuid,
    pub epoch: u64,
}

impl Lease {
    pub(crate) fn is_held(&self, _stored: Option<&[u8]>) -> bool {
        true
    }
}
pub(crate) type Owned = BTreeMap<Arc<str>, BTreeMap<u16, Lease>>;
pub(crate) struct Membership<E>(PhantomData<E>);
impl<E: TitoEngine> Membership<E> {
    pub(crate) fn owned(&self) -> watch::Receiver<Arc<Owned>> {
        todo!()
    }
    pub(crate) async fn release(&self, _queue: &str, _partition: u16, _lease: &Lease) {}
}
