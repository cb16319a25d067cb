//! The HTTP API of a database, wherever it is spoken: in this process, over the socket of a running application, or over
//! the network.
//!
//! | file | idea |
//! |---|---|
//! | this one | what is called, and what is answered |
//! | `call` | a request: its path, its query, its body |
//! | `lines` | answers of many lines |
//! | `transport` | the three ways |
//! | `local` | the socket of a running application |
//! | `remote` | `http://` and `https://` |
//! | `refused` | answers that tell of an error |

mod call;
mod lines;
#[cfg(unix)]
mod local;
mod refused;
mod remote;
mod transport;

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub(crate) use call::Call;
pub(crate) use lines::{Lines, known_line, refused_line};
#[cfg(unix)]
pub(crate) use local::LocalSocket;
pub(crate) use remote::{Remote, RemoteOptions};
use transport::Sent;
pub(crate) use transport::Transport;

use crate::failure::{Failure, Kind, Result};

/// The body of an answer, as it comes in.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The most that an answer of one document may have. The pages of a server end after 8 MiB.
const MOST_BYTES: usize = 64 << 20;

/// Speaks the API.
#[derive(Debug)]
pub(crate) struct Client {
    transport: Transport,
    token: Option<Token>,
    timeout: Option<Duration>,
}

/// How long an answer is waited for that only reads.
const READING: Duration = Duration::from_secs(30);

/// How long the answer to a change is waited for: longer than the server takes for one, unless it is told otherwise.
const CHANGING: Duration = Duration::from_secs(150);

/// A token that is not shown.
pub(crate) struct Token(http::HeaderValue);

impl Token {
    pub(crate) fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        let value = (!text.is_empty()).then(|| http::HeaderValue::try_from(format!("Bearer {text}")).ok()).flatten();
        let mut value =
            value.ok_or_else(|| Failure::usage("the token is empty, or has characters that no token has"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// An answer of one document: as it came, for programs, and as this program understands it.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    /// With what a later version says beyond what is known here, and with numbers as they were written.
    pub(crate) raw: Box<RawValue>,
    pub(crate) value: T,
}

impl Client {
    pub(crate) fn new(transport: Transport, token: Option<Token>, timeout: Option<Duration>) -> Self {
        Self { transport, token, timeout }
    }

    /// What a call answers, as one document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, call: &Call) -> Result<Answer<T>> {
        let answered = async |sent: &Sent| {
            let response = self.open(call, sent).await?;
            let body = whole(response.into_body(), MOST_BYTES).await;
            body.map_err(|failure| unanswered(call, sent, failure))
        };
        let sent = Sent::default();
        let bytes = self.in_time(call, &sent, answered(&sent)).await?;
        let unclear = |error: serde_json::Error| {
            let message =
                format!("the answer to {} is not what this program knows: it may be of another version", call.path());
            Failure::new(Kind::Failed, message).because(error)
        };
        let bytes = if bytes.is_empty() { Bytes::from_static(b"null") } else { bytes };
        let raw: Box<RawValue> = serde_json::from_slice(&bytes).map_err(unclear)?;
        let value = serde_json::from_str(raw.get()).map_err(unclear)?;
        Ok(Answer { raw, value })
    }

    /// What a call answers, as it comes in. Only its beginning has a deadline.
    pub(crate) async fn stream(&self, call: &Call) -> Result<Body> {
        let sent = Sent::default();
        Ok(self.in_time(call, &sent, self.open(call, &sent)).await?.into_body())
    }

    /// What a call answers, as lines of JSON.
    pub(crate) async fn lines(&self, call: &Call) -> Result<Lines> {
        Ok(Lines::of(self.stream(call).await?))
    }

    async fn open(&self, call: &Call, sent: &Sent) -> Result<Response<Body>> {
        let mut request = Request::builder().method(call.method()).uri(call.uri());
        if let Some(token) = &self.token {
            request = request.header(http::header::AUTHORIZATION, token.0.clone());
        }
        let body = match call.body() {
            Some(body) => {
                request = request.header(http::header::CONTENT_TYPE, "application/json");
                body.to_string()
            }
            None => String::new(),
        };
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failure::usage(format!("{} can't be asked for", call.path())).because(error))?;
        let response = self.transport.send(request, sent).await;
        let response = response.map_err(|failure| unanswered(call, sent, failure))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = whole(response.into_body(), 1 << 20).await.unwrap_or_default();
        Err(refused::failure(status, &bytes, call.is_change()))
    }

    async fn in_time<T>(&self, call: &Call, sent: &Sent, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let time = self.timeout.unwrap_or(if call.is_change() { CHANGING } else { READING });
        tokio::time::timeout(time, answer).await.unwrap_or_else(|_| {
            let seconds = time.as_secs_f64();
            let message = format!("no answer within {seconds} s; --timeout sets how long is waited");
            Err(unanswered(call, sent, Failure::new(Kind::Unavailable, message)))
        })
    }
}

/// Of a change that was sent, no answer does not mean that nothing was done.
fn unanswered(call: &Call, sent: &Sent, failure: Failure) -> Failure {
    if call.is_change() && sent.is_marked() { outcome_unknown(failure) } else { failure }
}

fn outcome_unknown(failure: Failure) -> Failure {
    Failure::new(Kind::Unknown, "it may be done or not, or in part: look before you try again").because(failure)
}

async fn whole(mut body: Body, most: usize) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(cut)?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > most {
                let most = most >> 20;
                return Err(Failure::new(
                    Kind::Failed,
                    format!("the answer has more than {most} MiB, and is not read"),
                ));
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}

/// The answer ended before its end.
pub(crate) fn cut(error: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    Failure::new(Kind::Unavailable, "the answer was cut off").because(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn tokens_are_not_shown() {
        assert_eq!(format!("{:?}", Token::new(" secret\n").unwrap()), "Token");
        assert!(Token::new("a\nb").is_err() && Token::new(" ").is_err());
    }
}
