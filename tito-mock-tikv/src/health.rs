//! gRPC's health checks. Servers answer for themselves as a whole and for each of their services.
use std::pin::Pin;

use futures::stream::{self, Stream, StreamExt};
use tito_tikv_proto::health::health_check_response::ServingStatus;
use tito_tikv_proto::health::health_server::Health;
use tito_tikv_proto::health::{HealthCheckRequest, HealthCheckResponse};
use tonic::{Request, Response, Status};

/// The services of one server.
#[derive(Clone)]
pub(crate) struct HealthService(pub(crate) &'static [&'static str]);

impl HealthService {
    fn status(&self, service: &str) -> Option<HealthCheckResponse> {
        let known = service.is_empty() || self.0.contains(&service);
        known.then(|| HealthCheckResponse { status: ServingStatus::Serving.into(), ..HealthCheckResponse::default() })
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        self.status(&service).map(Response::new).ok_or_else(|| Status::not_found(format!("no service {service}")))
    }

    /// A server that answers is serving; when it stops, the stream is cut.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let unknown =
            HealthCheckResponse { status: ServingStatus::ServiceUnknown.into(), ..HealthCheckResponse::default() };
        let status = self.status(&request.into_inner().service).unwrap_or(unknown);
        Ok(Response::new(Box::pin(stream::iter([Ok(status)]).chain(stream::pending()))))
    }
}
