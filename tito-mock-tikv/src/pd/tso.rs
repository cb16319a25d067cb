//! The timestamp stream.
use std::pin::Pin;

use futures::stream::{self, Stream};
use tonic::{Request, Status, Streaming};

use super::service::{PdService, no_leader};
use crate::Rpc;
use tito_tikv_proto::pdpb::{Timestamp, TsoRequest, TsoResponse};

pub(super) type TsoStream = Pin<Box<dyn Stream<Item = Result<TsoResponse, Status>> + Send>>;

impl PdService {
    /// Answers the requests of a stream in turn, until the client ends it, an answer fails or this member no longer
    /// leads.
    pub(super) fn answer_tso(&self, requests: Request<Streaming<TsoRequest>>) -> TsoStream {
        let start = Some((self.clone(), requests.into_inner()));
        Box::pin(stream::unfold(start, |state| async move {
            let (service, mut requests) = state?;
            let answer = tokio::select! {
                biased;
                () = service.until_deposed() => Err(no_leader()),
                answer = service.answer_next(&mut requests) => answer.transpose()?,
            };
            let goes_on = answer.is_ok();
            Some((answer, goes_on.then_some((service, requests))))
        }))
    }

    async fn answer_next(&self, requests: &mut Streaming<TsoRequest>) -> Result<Option<TsoResponse>, Status> {
        let Some(request) = requests.message().await? else { return Ok(None) };
        let count = request.count;
        let response = self
            .serve(Rpc::Tso, Request::new(request), |shared, _| {
                let last = shared
                    .oracle
                    .next(count)
                    .ok_or_else(|| Status::invalid_argument(format!("{count} timestamps cannot be given at once")))?;
                let timestamp = Timestamp {
                    physical: last.physical as i64,
                    logical: last.logical as i64,
                    suffix_bits: 0,
                    ..Timestamp::default()
                };
                Ok(Ok(TsoResponse { count, timestamp: Some(timestamp), ..TsoResponse::default() }))
            })
            .await?;
        self.until_thawed().await;
        Ok(Some(response.into_inner()))
    }

    async fn until_deposed(&self) {
        let mut leader = self.shared.pd.leader.subscribe();
        // It can't fail: the sender lives in `self`.
        let _ = leader.wait_for(|leader| *leader != Some(self.member)).await;
    }

    async fn until_thawed(&self) {
        let mut frozen = self.shared.pd.frozen.subscribe();
        let _ = frozen.wait_for(|frozen| !frozen).await;
    }
}
