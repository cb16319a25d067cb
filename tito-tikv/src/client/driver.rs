//! The shell around the protocol's machines: it sends what they want sent.
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, Sleep, sleep};

use super::core::Core;
use crate::protocol::{Event, Limit, Machine, Output};
use crate::region::Region;
use crate::transport::BoxFuture;

type Happens = BoxFuture<Event<Arc<Region>>>;

/// Drives a machine to its end, and hands on what it decides on the way.
pub(crate) async fn drive<M>(core: Arc<Core>, mut machine: M, limit: Duration, mut decided: impl FnMut(M::Decision))
where
    M: Machine<Arc<Region>>,
{
    let mut under_way: FuturesUnordered<Happens> = FuturesUnordered::new();
    let mut deadline: Pin<Box<Sleep>> = Box::pin(sleep(limit));
    let mut outputs = machine.start();
    loop {
        for output in outputs {
            match output {
                Output::Decided(decision) => decided(decision),
                Output::Finished => return,
                Output::Limit(kind) => {
                    let after = match kind {
                        Limit::Call => limit,
                        Limit::Millis(millis) => Duration::from_millis(millis),
                        Limit::Rollback => core.settings.rollback_patience,
                    };
                    deadline.as_mut().reset(Instant::now() + after);
                }
                output => under_way.extend(happens(&core, output)),
            }
        }
        let event = tokio::select! {
            biased;
            Some(event) = under_way.next() => event,
            () = deadline.as_mut() => {
                // Only once, unless the machine sets another one.
                deadline.as_mut().reset(Instant::now() + Duration::from_secs(86_400));
                Event::Deadline
            }
        };
        outputs = machine.handle(event);
    }
}

/// What comes of what a machine wants done.
fn happens<D>(core: &Arc<Core>, output: Output<Arc<Region>, D>) -> Option<Happens> {
    let core = core.clone();
    match output {
        Output::Locate { call, keys } => {
            Some(Box::pin(async move { Event::Located { call, runs: core.locate(&keys).await } }))
        }
        Output::Send { call, region, request } => {
            Some(Box::pin(async move { Event::Answered { call, reply: core.send(&region, request).await } }))
        }
        Output::Timestamp { call } => Some(Box::pin(async move {
            let timestamp = core.pd.timestamp().await.map(|timestamp| timestamp.raw());
            Event::Timestamp { call, timestamp }
        })),
        Output::Pause { call, pause } => {
            let length = core.pause(pause);
            Some(Box::pin(async move {
                sleep(length).await;
                Event::Paused { call }
            }))
        }
        Output::Resolve { call, locks } => {
            Some(Box::pin(async move { Event::Resolved { call, alive: core.resolve_for_write(locks).await } }))
        }
        Output::Decided(_) | Output::Finished | Output::Limit(_) => None,
    }
}
