//! Look-ups that are made once, however many ask.
use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};

use crate::PdFailure;

type Lookup<T> = BoxFuture<'static, Result<T, PdFailure>>;

/// The look-ups that are under way.
pub(super) struct Lookups<K, T: Clone>(Mutex<HashMap<K, WeakShared<Lookup<T>>>>);

impl<K, T: Clone> Default for Lookups<K, T> {
    fn default() -> Self {
        Lookups(Mutex::default())
    }
}

impl<K: Hash + Eq, T: Clone + Send + 'static> Lookups<K, T> {
    /// What the look-up under way gives, or else this one. It ends when nobody waits for it any more.
    pub(super) async fn get<F>(&self, key: K, look_up: impl FnOnce() -> F) -> Result<T, PdFailure>
    where
        F: Future<Output = Result<T, PdFailure>> + Send + 'static,
    {
        let shared: Shared<Lookup<T>> = {
            let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match under_way.get(&key).and_then(WeakShared::upgrade).filter(|shared| shared.peek().is_none()) {
                Some(shared) => shared,
                None => {
                    under_way.retain(|_, other| other.upgrade().is_some_and(|shared| shared.peek().is_none()));
                    let shared = look_up().boxed().shared();
                    under_way.extend(shared.downgrade().map(|weak| (key, weak)));
                    shared
                }
            }
        };
        shared.await
    }
}
