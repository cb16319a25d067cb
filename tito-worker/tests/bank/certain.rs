//! Outcomes that are seldom met by chance, brought about one at a time.

use tito_testkit::MockCluster;
use tito_testkit::mock_tikv::{Fault, FaultRule, Rpc};

use crate::bank::{Transfer, account};
use crate::ledger::Said;
use crate::transfers::{Clerk, Ending};

/// How a commit becomes unknown: the first request has no answer, the server then refuses its primary key for good, and the
/// question that would tell what became of it too. None of it takes time, which makes it the same in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The first request took effect, and its response was lost.
    Done,
    /// No request took effect.
    NotDone,
}

/// Makes a transfer whose outcome the engine can't know. Its locks stay, and are in the way of others.
pub async fn unknown(cluster: &MockCluster, clerk: &Clerk, transfer: &Transfer, unknown: Unknown) -> Said {
    let primary = account(transfer.from.min(transfer.to));
    let unanswered = match unknown {
        Unknown::Done => Fault::DropResponse,
        Unknown::NotDone => Fault::DropRequest,
    };
    let rules = [
        FaultRule::on(Rpc::KvCommit, unanswered).first(1),
        FaultRule::on(Rpc::KvCommit, Fault::RaftEntryTooLarge),
        FaultRule::on(Rpc::KvCheckTxnStatus, Fault::RaftEntryTooLarge),
    ];
    let rules: Vec<_> = rules.into_iter().map(|rule| cluster.faults().add(rule.keys(primary.clone()))).collect();
    let said = clerk.attempt(transfer, Ending::Commit).await;
    for rule in rules {
        cluster.faults().remove(rule);
    }
    said
}

/// Two transfers between the same accounts at the same time: one of them is done.
pub async fn conflict(clerk: &Clerk, first: &Transfer, second: &Transfer) {
    let (one, other) = (clerk.queue.engine.begin().await.unwrap(), clerk.queue.engine.begin().await.unwrap());
    first.write(&clerk.queue, &one).await.unwrap();
    second.write(&clerk.queue, &other).await.unwrap();
    one.commit().await.unwrap();
    clerk.ledger.note(first, Said::Done);
    let error = other.commit().await.unwrap_err();
    assert!(matches!(error, tito_core::TitoError::Conflict { .. }), "{error:?}");
    clerk.ledger.note_error(&error);
    clerk.ledger.note(second, Said::NotDone);
}
