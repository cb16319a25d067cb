//! What a handler answers when it can't do what it was asked for.

use std::error::Error;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use tito_backup::BackupError;
use tito_core::{KeyText, TitoError};
use tito_eventstore::EventStoreError;
use tito_worker::QueueError;

use crate::api::{Code, ErrorBody, Problem};
use crate::redact::{Part, Redact, Redacted, owner_of_key};

/// A refusal, on its way to be an answer.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    problem: Problem,
    /// What of the message others have said: codecs of stored bytes, upcasters, the application.
    foreign: Vec<String>,
    /// The row that it is about.
    key: Option<KeyText>,
}

pub(crate) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let problem = Problem { code, message: message.into(), retryable: false };
        Self { problem, foreign: Vec::new(), key: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// The same call can succeed later.
    pub(crate) fn retryable(mut self) -> Self {
        self.problem.retryable = true;
        self
    }

    pub(crate) fn problem(&self) -> &Problem {
        &self.problem
    }

    fn of(code: Code, error: &(dyn Error + 'static), is_retryable: bool) -> Self {
        let mut message = error.to_string();
        let mut foreign = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors tell of their cause themselves.
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            let is_own = error.downcast_ref().is_some_and(|error| !matches!(error, TitoError::Application(_)));
            // Of what else can be wrong, such as the network, nothing that is stored is told.
            if code == Code::Internal && !is_own && !text.is_empty() {
                foreign.push(text);
            }
            cause = error.source();
        }
        Self { problem: Problem { code, message, retryable: is_retryable }, foreign, key: None }
    }

    fn at(self, error: Option<&TitoError>) -> Self {
        match error {
            Some(TitoError::Malformed { key, .. }) => Self { key: Some(key.clone()), ..self },
            _ => self,
        }
    }

    /// As it is shown: what others have said is redacted, as of the topic or store whose row could not be read, or else of
    /// the one that was asked about.
    pub(crate) fn redacted(mut self, redact: &Redact, of: &str) -> Self {
        let owner = self.key.as_ref().and_then(|key| owner_of_key(key.as_bytes()));
        let of = owner.as_deref().unwrap_or(of);
        // The longest first, as a cause is told within what it has caused.
        self.foreign.sort_by_key(|text| std::cmp::Reverse(text.len()));
        for text in std::mem::take(&mut self.foreign) {
            let shown = redact.text(&Redacted { of, event_type: of, part: Part::Error }, text.clone());
            if shown != text {
                self.problem.message = self.problem.message.replace(&text, &shown);
            }
        }
        self
    }

    /// Whether something in it is for [`redacted`](Failure::redacted).
    pub(crate) fn is_foreign(&self) -> bool {
        !self.foreign.is_empty()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response<Body> {
        let status = StatusCode::from_u16(self.problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(&ErrorBody { error: self.problem.clone() });
        if self.is_foreign() {
            // For whoever knows what it was asked of.
            response.extensions_mut().insert(self);
        }
        *response.status_mut() = status;
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// An answer in JSON, which nobody is to keep.
pub(crate) fn json(value: &impl serde::Serialize) -> Response<Body> {
    let (status, bytes) = match serde_json::to_vec(value) {
        Ok(bytes) => (StatusCode::OK, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer can't be written as JSON");
            let text =
                r#"{"error":{"code":"internal","message":"the answer can't be written as JSON","retryable":false}}"#;
            (StatusCode::INTERNAL_SERVER_ERROR, text.into())
        }
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn code_of(error: &TitoError) -> Code {
    match error {
        TitoError::InvalidName { .. }
        | TitoError::OutOfRange { .. }
        | TitoError::InvalidCursor { .. }
        | TitoError::Unserializable { .. }
        | TitoError::InvalidIndexValue { .. }
        | TitoError::InvalidIndex { .. }
        | TitoError::ReservedKey { .. } => Code::Invalid,
        TitoError::RowNotFound { .. } | TitoError::NoDatabase { .. } => Code::NotFound,
        TitoError::Conflict { .. }
        | TitoError::AlreadyExists { .. }
        | TitoError::VersionConflict { .. }
        | TitoError::TransactionTooOld { .. }
        | TitoError::AlreadyApplied { .. }
        | TitoError::IncompleteDatabase { .. }
        | TitoError::IndexNotBuilt { .. } => Code::Conflict,
        TitoError::LimitExceeded { .. } => Code::TooLarge,
        TitoError::Unavailable { .. } | TitoError::EngineClosed { .. } | TitoError::SnapshotLost { .. } => {
            Code::Unavailable
        }
        TitoError::RetriesExhausted { source, .. } => code_of(source),
        TitoError::StorageFull { .. } => Code::StorageFull,
        TitoError::CommitUnknown { .. } => Code::OutcomeUnknown,
        _ => Code::Internal,
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        let code = match &error {
            QueueError::UnknownTopic { .. }
            | QueueError::UnknownGroup { .. }
            | QueueError::UnknownWorker { .. }
            | QueueError::UnknownOperation { .. } => Code::NotFound,
            QueueError::NoQueue { .. } | QueueError::ResizeUnderWay { .. } => Code::Conflict,
            QueueError::InvalidSchedule { .. } => Code::Invalid,
            QueueError::Engine(error) => code_of(error),
            _ => Code::Internal,
        };
        Self::of(code, &error, error.is_retryable()).at(error.engine())
    }
}

impl From<TitoError> for Failure {
    /// One of a queue that came through a transaction comes out as it went in.
    fn from(error: TitoError) -> Self {
        match QueueError::from(error) {
            QueueError::Engine(error) => Self::of(code_of(&error), &error, error.is_retryable()).at(Some(&error)),
            error => error.into(),
        }
    }
}

impl From<EventStoreError> for Failure {
    fn from(error: EventStoreError) -> Self {
        let code = match &error {
            EventStoreError::StoreNotFound { .. }
            | EventStoreError::ProjectionNotFound { .. }
            | EventStoreError::ReactorNotFound { .. } => Code::NotFound,
            EventStoreError::SubjectTooManyTokens { .. }
            | EventStoreError::PatternInvalid { .. }
            | EventStoreError::StoreNameRequired => Code::Invalid,
            EventStoreError::SequenceConflict { .. } | EventStoreError::StoreExists { .. } => Code::Conflict,
            EventStoreError::Engine(error) => code_of(error),
            _ => Code::Internal,
        };
        Self::of(code, &error, error.is_retryable()).at(error.engine())
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let code = match &error {
            BackupError::Database(error) => code_of(error),
            BackupError::NoIdentity => Code::Unsupported,
            _ => Code::Internal,
        };
        let is_retryable = error.database().is_some_and(TitoError::is_retryable);
        Self::of(code, &error, is_retryable).at(error.database())
    }
}
