//! What a request says: in its path, its query, its body.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::path::ErrorKind;
use axum::extract::{FromRequest, FromRequestParts, Path, RawPathParams, Request};
use axum::http::header;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tito_core::KeyText;
use tito_core::event::topic_of;

use crate::api::{Change, Code, decode_key};
use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::timely;

/// How many items a page has unless asked otherwise.
const PAGE: u32 = 100;

/// How many items a page has at most.
const LARGEST_PAGE: u32 = 1_000;

/// The names in the path.
#[derive(Debug)]
pub(crate) struct Names<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Names<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Answer<Self> {
        match Path::<T>::from_request_parts(parts, app).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(axum::extract::rejection::PathRejection::FailedToDeserializePathParams(error)) => {
                Err(match error.kind() {
                    ErrorKind::WrongNumberOfParameters { .. } | ErrorKind::UnsupportedType { .. } => {
                        Failure::new(Code::Internal, error.body_text())
                    }
                    _ => Failure::invalid(error.body_text()),
                })
            }
            Err(error) => Err(Failure::new(Code::Internal, error.body_text())),
        }
    }
}

/// The topic or the event store that a path is about; empty if it is about neither.
pub(crate) async fn of_path(parts: &mut Parts) -> String {
    let Ok(params) = RawPathParams::from_request_parts(parts, &()).await else { return String::new() };
    let of = params.iter().find_map(|(name, value)| match name {
        "topic" | "store" => Some(value),
        "queue" => Some(topic_of(value).0),
        _ => None,
    });
    of.unwrap_or_default().to_string()
}

/// The query.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Answer<Self> {
        query(parts).map(Self)
    }
}

pub(crate) fn query<T: DeserializeOwned>(parts: &Parts) -> Answer<T> {
    of_text(parts.uri.query().unwrap_or_default())
}

fn of_text<T: DeserializeOwned>(text: &str) -> Answer<T> {
    serde_urlencoded::from_str(text).map_err(|error| Failure::invalid(format!("the query can't be used: {error}")))
}

/// Nothing that could be said: what a request takes that has no members of its own in its query, or in its body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// What every change has in its query, and what this one has of its own there. A member that neither knows is refused: a
/// `dry-run` that should have been a `dry_run` must not be lost.
pub(crate) fn change<T: DeserializeOwned>(query: &str) -> Answer<(Change, T)> {
    let pairs: Vec<(String, String)> = of_text(query)?;
    let is_of_change = |(name, _): &(String, String)| matches!(name.as_str(), "why" | "dry_run");
    let (of_change, own): (Vec<_>, Vec<_>) = pairs.into_iter().partition(is_of_change);
    Ok((of_pairs(of_change)?, of_pairs(own)?))
}

fn of_pairs<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Answer<T> {
    let text = serde_urlencoded::to_string(pairs);
    let text = text.map_err(|error| Failure::new(Code::Internal, format!("a query can't be written: {error}")))?;
    of_text(&text)
}

/// The body, as JSON. An empty one counts as `{}`.
#[derive(Debug)]
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Sent<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        let said = parts.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
        // Also where there is no body: a form of a page of another site says what it is, empty or not.
        if said.is_some_and(|said| !said.to_ascii_lowercase().starts_with(b"application/json")) {
            return Err(Failure::invalid("the body has to be JSON: Content-Type: application/json"));
        }
        let bytes = read(body, app).await?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            Failure::invalid(format!("the body can't be used, at {path}: {}", error.into_inner()))
        })?;
        json.end().map_err(|error| Failure::invalid(format!("the body can't be used: {error}")))?;
        Ok(Self(value))
    }
}

async fn read(body: Body, app: &App) -> Answer<axum::body::Bytes> {
    let (limit, time) = (app.limits.body_bytes, app.limits.body_time);
    let reading = timely::within(&app.database, time, axum::body::to_bytes(body, limit)).await;
    let Some(read) = reading else {
        return Err(Failure::new(Code::RequestTimeout, format!("the body did not arrive within {time:?}")).retryable());
    };
    read.map_err(|error| {
        let is_too_large = std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("limit"));
        if is_too_large {
            Failure::new(Code::TooLarge, format!("the body has more than {limit} bytes"))
        } else {
            Failure::invalid(format!("the body can't be read: {error}"))
        }
    })
}

/// How many items a page is to have.
pub(crate) fn limit(asked: Option<u32>) -> Answer<usize> {
    match asked.unwrap_or(PAGE) {
        limit @ 1..=LARGEST_PAGE => Ok(limit as usize),
        limit => Err(Failure::invalid(format!("a `limit` of {limit} can't be used: expected 1 to {LARGEST_PAGE}"))),
    }
}

/// A key that a listing goes on after, or that names a dead letter.
pub(crate) fn key(text: &str) -> Answer<KeyText> {
    let key =
        decode_key(text).ok_or_else(|| Failure::invalid(format!("{text:?} is no key as this server writes them")))?;
    Ok(KeyText::from(key))
}

pub(crate) fn time(seconds: i64) -> Answer<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0).ok_or_else(|| {
        Failure::invalid(format!("{seconds} is no time: expected Unix seconds of the years up to 262,142"))
    })
}
