//! Answers that tell of an error.

use http::StatusCode;
use serde::Deserialize;

use crate::failure::{Failure, Kind};

#[derive(Deserialize)]
struct ErrorBody {
    error: Told,
}

#[derive(Deserialize)]
struct Told {
    message: String,
    #[serde(default)]
    retryable: bool,
}

/// What an answer with this status says. A change that was ended midway, or lost behind a proxy, may be done.
pub(super) fn failure(status: StatusCode, body: &[u8], is_change: bool) -> Failure {
    let told = serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error);
    let is_retryable = told.as_ref().is_some_and(|told| told.retryable);
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Refused,
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Kind::Usage,
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Kind::Unavailable,
        _ if is_retryable => Kind::Unavailable,
        _ => Kind::Failed,
    };
    let message = match (told, status) {
        (Some(told), _) => told.message,
        (None, StatusCode::UNAUTHORIZED) => "the token is missing or wrong (TITO_TOKEN, --token-file)".to_string(),
        (None, StatusCode::FORBIDDEN) => "this token may not do that".to_string(),
        (None, StatusCode::NOT_FOUND) => {
            "there is no such thing there, or the other side does not know the call".to_string()
        }
        (None, status) => format!("the other side answered {status}"),
    };
    let failure = Failure::new(kind, message);
    let is_unknown = is_change && matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
    if is_unknown { super::outcome_unknown(failure) } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_the_statuss_and_the_text_is_what_was_told() {
        let body = br#"{"error":{"code":"no_such_topic","message":"there is no topic","retryable":false}}"#;
        let failure_of = failure(StatusCode::NOT_FOUND, body, true);
        assert_eq!((failure_of.kind, failure_of.to_string().as_str()), (Kind::NotFound, "there is no topic"));
        assert_eq!(failure(StatusCode::UNAUTHORIZED, b"", true).kind, Kind::Refused);
        let body = br#"{"error":{"code":"conflict","message":"again","retryable":true}}"#;
        assert_eq!(failure(StatusCode::CONFLICT, body, true).kind, Kind::Unavailable);
        assert_eq!(failure(StatusCode::INTERNAL_SERVER_ERROR, b"<html>", true).kind, Kind::Failed);
        for (is_change, kind) in [(true, Kind::Unknown), (false, Kind::Unavailable)] {
            assert_eq!(failure(StatusCode::GATEWAY_TIMEOUT, b"", is_change).kind, kind);
        }
    }
}
