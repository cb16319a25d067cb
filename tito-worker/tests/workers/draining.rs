//! What `drain` promises.

use tito_core::prelude::*;
use tito_testkit::{Harness, TestClock};
use tito_worker::prelude::*;

use crate::support::*;

#[fact]
pub async fn a_large_backlog_is_drained_in_one_call(db: Database, clock: TestClock) {
    for step in 0..5 {
        publish(&db, (0..1000).map(|n| Publish::new("job", format!("{}", step * 1000 + n)))).await;
    }
    let mut harness = Harness::new(&db, &clock).subscribe("job", |_| async { Ok::<_, TitoError>(()) });
    assert_eq!(harness.drain().await.unwrap().len(), 5000);
    assert_eq!(harness.report().done, 5000);
    assert_eq!(stored(&db, "event:").await.len(), 0);
}
