//! Functions and closures are handlers.

use std::future::Future;
use std::sync::Arc;

use tito_core::BoxError;
use tito_core::event::TitoEvent;

use super::Handler;
use super::boxed::BoxedHandler;
use super::extract::{FromEvent, WithoutEvent};
use super::outcomes::{IntoOutcome, IntoOutcomes, one_for_each};

/// Tells batch handlers from others.
#[derive(Debug)]
pub enum Batch<Args> {
    #[doc(hidden)]
    Never(std::convert::Infallible, std::marker::PhantomData<Args>),
}

macro_rules! functions {
    ($(($($argument:ident),*);)*) => {$(
        impl<F, Fut, O, Error, S, J, $($argument),*> Handler<($($argument,)*), S, J> for F
        where
            F: Fn($($argument),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<O, Error>> + Send,
            O: IntoOutcome,
            Error: Into<BoxError>,
            S: Clone + Send + Sync + 'static,
            J: 'static,
            $($argument: FromEvent<S, J> + 'static,)*
        {
            #[allow(non_snake_case, reason = "a value has the name of its type")]
            fn with_its_state(self, state: S) -> BoxedHandler {
                let shared = Arc::new((self, state));
                BoxedHandler::one(<($($argument,)*) as FromEvent<S, J>>::IN_TRANSACTION, move |context| {
                    let shared = shared.clone();
                    async move {
                        let (handler, state) = &*shared;
                        // Nothing but the arguments outlives this block, or the future would be twice as large.
                        let ($($argument,)*) = {
                            let mut context = context.with_state(state.clone());
                            match <($($argument,)*) as FromEvent<S, J>>::from_event(&mut context).await {
                                Ok(arguments) => arguments,
                                Err(rejection) => return rejection.into_handled(),
                            }
                        };
                        handler($($argument),*).await.map(O::into_outcome).map_err(Into::into)
                    }
                })
            }
        }
    )*};
}

functions! {
    (A);
    (A, B);
    (A, B, C);
    (A, B, C, D);
    (A, B, C, D, E);
    (A, B, C, D, E, G);
}

macro_rules! batches {
    ($(($($argument:ident),*);)*) => {$(
        impl<F, Fut, O, Error, S, J, $($argument),*> Handler<Batch<($($argument,)*)>, S, J> for F
        where
            F: Fn(Vec<TitoEvent>, $($argument),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<O, Error>> + Send,
            O: IntoOutcomes,
            Error: Into<BoxError>,
            S: Clone + Send + Sync + 'static,
            J: 'static,
            $($argument: FromEvent<S, J> + WithoutEvent + 'static,)*
        {
            #[allow(non_snake_case, reason = "a value has the name of its type")]
            fn with_its_state(self, state: S) -> BoxedHandler {
                let shared = Arc::new((self, state));
                BoxedHandler::batch(<($($argument,)*) as FromEvent<S, J>>::IN_TRANSACTION, move |events, context| {
                    let shared = shared.clone();
                    async move {
                        let (handler, state) = &*shared;
                        let count = events.len();
                        let taken = {
                            let mut context = context.with_state(state.clone());
                            <($($argument,)*) as FromEvent<S, J>>::from_event(&mut context).await
                        };
                        let ($($argument,)*) = match taken {
                            Ok(arguments) => arguments,
                            Err(rejection) => return Ok(vec![rejection.into_handled()?; count]),
                        };
                        one_for_each(count, handler(events, $($argument),*).await)
                    }
                })
            }
        }
    )*};
}

batches! {
    ();
    (A);
    (A, B);
    (A, B, C);
}
