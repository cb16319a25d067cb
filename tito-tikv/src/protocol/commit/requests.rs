//! The requests of a commit.
use tito_tikv_proto::kvrpcpb::{
    BatchRollbackRequest, CheckTxnStatusRequest, CommitRequest, CommitRole, Context, PrewriteRequest,
    TxnHeartBeatRequest,
};

use super::{Batch, Commit, Step};
use crate::protocol::Request;

impl<R: Clone> Commit<R> {
    pub(super) fn request(&self, batch: &Batch<R, Step>) -> Request {
        let plan = &self.plan;
        #[cfg(test)]
        if let Some(request) = self.wrong_request(batch) {
            return request;
        }
        let keys = || batch.keys.iter().map(|key| plan.key(*key).to_vec()).collect();
        match batch.step {
            Step::Prewrite => PrewriteRequest {
                context: Some(Context { is_retry_request: batch.attempt > 0, ..Context::default() }),
                mutations: batch.keys.iter().map(|key| plan.mutations[*key].clone()).collect(),
                primary_lock: plan.primary_key().to_vec(),
                start_version: plan.start,
                lock_ttl: self.ttl_millis(),
                txn_size: plan.mutations.len() as u64,
                // Without this, a reader couldn't push the transaction behind its snapshot and would have to wait.
                min_commit_ts: plan.start + 1,
                ..PrewriteRequest::default()
            }
            .into(),
            Step::Primary | Step::Secondaries => CommitRequest {
                start_version: plan.start,
                keys: keys(),
                commit_version: self.commit_ts,
                commit_role: match batch.step {
                    Step::Primary => CommitRole::Primary.into(),
                    _ => CommitRole::Secondary.into(),
                },
                primary_key: plan.primary_key().to_vec(),
                ..CommitRequest::default()
            }
            .into(),
            Step::Settle => CheckTxnStatusRequest {
                primary_key: plan.primary_key().to_vec(),
                lock_ts: plan.start,
                // The transaction is ours, so there is no time to live to wait for.
                current_ts: u64::MAX,
                rollback_if_not_exist: true,
                verify_is_primary: true,
                ..CheckTxnStatusRequest::default()
            }
            .into(),
            Step::Rollback => {
                BatchRollbackRequest { start_version: plan.start, keys: keys(), ..BatchRollbackRequest::default() }
                    .into()
            }
        }
    }

    pub(super) fn heart_beat_request(&self) -> Request {
        TxnHeartBeatRequest {
            primary_lock: self.plan.primary_key().to_vec(),
            start_version: self.plan.start,
            advise_lock_ttl: self.ttl_millis(),
            ..TxnHeartBeatRequest::default()
        }
        .into()
    }
}
