//! Answers of many lines of JSON.

use bytes::BytesMut;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tito_console::api::ErrorBody;

use super::{Body, cut};
use crate::failure::{Failure, Kind, Result};
use crate::output::visible;

/// The most that a line may have.
const MOST_BYTES: usize = 16 << 20;

/// Lines of JSON, as they come in.
pub(crate) struct Lines {
    body: Body,
    read: BytesMut,
    is_ended: bool,
}

impl Lines {
    pub(super) fn of(body: Body) -> Self {
        Self { body, read: BytesMut::new(), is_ended: false }
    }

    /// The next one; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Box<RawValue>>> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                // An empty one says that the other side is there.
                if !line.trim_ascii().is_empty() {
                    return line_of(&line).map(Some);
                }
                continue;
            }
            if self.is_ended {
                let line = self.read.split();
                return if line.trim_ascii().is_empty() { Ok(None) } else { line_of(&line).map(Some) };
            }
            if self.read.len() > MOST_BYTES {
                return Err(Failure::new(Kind::Failed, format!("a line has more than {MOST_BYTES} bytes")));
            }
            match self.body.frame().await.transpose().map_err(cut)? {
                Some(frame) => {
                    if let Some(data) = frame.data_ref() {
                        self.read.extend_from_slice(data);
                    }
                }
                None => self.is_ended = true,
            }
        }
    }
}

fn line_of(line: &[u8]) -> Result<Box<RawValue>> {
    serde_json::from_slice(line).map_err(|error| Failure::new(Kind::Failed, "a line is no JSON").because(error))
}

/// Fails where a line tells of an error: nothing that is told of is called so.
pub(crate) fn refused_line(line: &RawValue) -> Result<()> {
    let Ok(ErrorBody { error }) = serde_json::from_str(line.get()) else { return Ok(()) };
    let kind = if error.retryable { Kind::Unavailable } else { Kind::Failed };
    Err(Failure::new(kind, error.message))
}

/// A line, as this program understands it.
pub(crate) fn known_line<T: DeserializeOwned>(line: &RawValue) -> Result<T> {
    let unclear = |error| {
        let message = format!("a line is not what this program knows: {}", visible(line.get()));
        Failure::new(Kind::Failed, message).because(error)
    };
    serde_json::from_str(line.get()).map_err(unclear)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn lines(parts: Vec<&'static str>) -> Lines {
        let frames = parts.into_iter().map(|part| Ok(Frame::data(Bytes::from(part))));
        let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
        Lines::of(body)
    }

    #[tokio::test]
    async fn lines_are_found_however_they_are_cut() {
        let mut lines = lines(vec!["{\"a\"", ":1}\n\n{\"b", "\":2}\r\n", "3"]);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line.get().to_string());
        }
        assert_eq!(found, ["{\"a\":1}", "{\"b\":2}", "3"]);
    }

    #[tokio::test]
    async fn a_line_that_was_cut_off_is_an_error() {
        assert!(lines(vec!["{\"a\""]).next().await.is_err());
    }
}
