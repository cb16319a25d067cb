//! A request of the API.

use std::fmt::Write as _;

use http::Method;
use serde::Serialize;

use crate::failure::{Failure, Result};

/// A request: what is called, with which query and body.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: String,
    body: Option<String>,
    is_change: bool,
}

impl Call {
    /// Reads what lies at a path. Each part of it is a name of its own, whatever is in it.
    pub(crate) fn get<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::GET, parts)
    }

    /// Changes something.
    pub(crate) fn post<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::POST, parts)
    }

    pub(crate) fn new<'a>(method: Method, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut path = String::new();
        for part in parts {
            path.push('/');
            encode(part, &mut path);
        }
        let is_change = !matches!(method, Method::GET | Method::HEAD);
        Self { method, path, query: String::new(), body: None, is_change }
    }

    pub(crate) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        encode(name, &mut self.query);
        self.query.push('=');
        encode(&value.to_string(), &mut self.query);
        self
    }

    pub(crate) fn query_if(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Of a change, only counts what it would affect.
    pub(crate) fn rehearsed(self) -> Self {
        Self { is_change: false, ..self.query("dry_run", true) }
    }

    /// Changes nothing, though it is no `GET`.
    pub(crate) fn only_reads(self) -> Self {
        Self { is_change: false, ..self }
    }

    /// Whether something is other than before once this is done.
    pub(crate) fn is_change(&self) -> bool {
        self.is_change
    }

    /// With a body, in which numbers stay as they were written.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_string(body);
        self.body = Some(body.map_err(|error| Failure::usage("this can't be written as JSON").because(error))?);
        Ok(self)
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The path alone, for messages.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn uri(&self) -> String {
        format!("{}{}", self.path, self.query)
    }

    pub(crate) fn body(&self) -> Option<&str> {
        self.body.as_deref()
    }
}

/// All but what has no meaning in any part of a URL, as `%` and two digits. A part `.` or `..` would be taken for another
/// place.
fn encode(text: &str, encoded: &mut String) {
    let is_dots = matches!(text, "." | "..");
    for byte in text.bytes() {
        match byte {
            b'.' if is_dots => encoded.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            byte => {
                // Writing to a string does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_in_their_part() {
        let call = Call::get(["topics", "a/../b?c=d#e", ".."]).query("after", "x&y=1 ü");
        assert_eq!(call.uri(), "/topics/a%2F..%2Fb%3Fc%3Dd%23e/%2E%2E?after=x%26y%3D1%20%C3%BC");
    }
}
