#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::task::Poll;

use tito_core::embedded::EmbeddedBackend;
use tito_core::keys::KeyRange;

use super::*;

fn about() -> About {
    About::default()
}

#[tokio::test]
async fn a_worker_that_ends_leaves_no_mark_wherever_the_writing_of_it_was_cut_off() {
    let db = EmbeddedBackend::in_memory().await.unwrap();
    // Whether the commit is answered by the first poll already is up to the committer's thread.
    for polls in (1..=6).cycle().take(60) {
        let hands = Hands::new(&db, &[], about(), false);
        {
            let mut begin = pin!(hands.begin());
            let mut left = polls;
            poll_fn(|context| match begin.as_mut().poll(context) {
                Poll::Ready(result) => {
                    result.unwrap();
                    Poll::Ready(())
                }
                Poll::Pending if left == 1 => Poll::Ready(()),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            })
            .await;
        }
        hands.end().await;
        let tx = db.begin().await.unwrap();
        assert_eq!(tx.scan(KeyRange::prefix("process:"), 9).await.unwrap(), [], "cut off after {polls} polls");
    }
}
