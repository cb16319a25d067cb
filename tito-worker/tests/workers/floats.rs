//! Floats in payloads and progress are read back as they were written, whatever becomes of their event.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tito_core::event::TitoEvent;
use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock, seed};
use tito_worker::prelude::*;

use crate::support::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Measured {
    Many { values: Vec<f64>, single: f32, any: Value },
}

fn measured(random: &mut fastrand::Rng) -> Measured {
    let mut finite = || std::iter::repeat_with(|| f64::from_bits(random.u64(..))).find(|value| value.is_finite());
    let mut values: Vec<f64> = (0..20).filter_map(|_| finite()).collect();
    let any = Value::from(values.clone());
    values.extend([117.63331139400017, -0.0, 5e-324, f64::MAX]);
    let single = std::iter::repeat_with(|| f32::from_bits(random.u32(..))).find(|single| single.is_finite());
    Measured::Many { values, single: single.unwrap_or_default(), any }
}

#[fact]
pub async fn floats_survive_publishing_retries_redrives_and_schedules(db: Database, clock: TestClock) {
    let mut random = fastrand::Rng::with_seed(seed());
    let queue = TitoQueue::new(db.clone());
    let sent: Vec<Measured> = (0..50).map(|_| measured(&mut random)).collect();
    publish(&db, sent.iter().enumerate().map(|(at, sent)| job(at).payload(sent).unwrap())).await;
    let at_last = job("scheduled").payload(&sent[0]).unwrap();
    queue.put_schedule(Schedule::every("hourly", Duration::from_secs(3_600)).publishes(at_last)).await.unwrap();

    let recording = queue.clone();
    let twice = Subscription::default().retry(RetryPolicy::default().attempts(2));
    let handler = move |event: TitoEvent| {
        let queue = recording.clone();
        async move {
            let payload: Measured = event.payload()?;
            match event.progress::<Measured>()? {
                Some(progress) => assert_eq!(format!("{progress:?}"), format!("{payload:?}")),
                None => assert!(queue.record_progress(&event, &payload).await?),
            }
            Done::Err(error("again"))
        }
    };
    let mut harness = Harness::new(&db, &clock).subscribe_with("job", twice, handler);
    harness.advance(Duration::from_secs(3_600)).await.unwrap();
    harness.advance(Duration::from_secs(3_600)).await.unwrap();
    drop(harness);
    queue.remove_schedule("hourly").await.unwrap();
    assert_eq!(stored(&db, "event:job:").await.len(), 1, "the second firing has an attempt left");
    queue.redrive_all("job").await.unwrap();

    let mut harness = Harness::new(&db, &clock).subscribe("job", |_: TitoEvent| async { Done::Ok(()) });
    let handled = harness.advance(Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(handled.len(), sent.len() + 2);
    for handled in handled {
        let expected = handled.event.entity.parse().map_or(&sent[0], |at: usize| &sent[at]);
        // As text, which tells -0.0 from 0.0.
        let found: Measured = handled.event.payload().unwrap();
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        let progress: Measured = handled.event.progress().unwrap().unwrap();
        assert_eq!(format!("{progress:?}"), format!("{expected:?}"));
    }
}
