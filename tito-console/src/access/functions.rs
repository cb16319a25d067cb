//! Two functions of the application: who is it, and what may they.

use std::fmt;

use axum::http::request::Parts;
use axum::http::{Method, header};

use super::{Who, unauthenticated};
use crate::api::{Code, Role};
use crate::failure::{Answer, Failure};

type WhoIsIt = dyn Fn(&Parts) -> Option<String> + Send + Sync;
type WhatMayThey = dyn Fn(&str) -> Option<Role> + Send + Sync;

pub(crate) struct Functions {
    who: Box<WhoIsIt>,
    may: Box<WhatMayThey>,
}

impl Functions {
    pub(crate) fn new(
        who: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
        may: impl Fn(&str) -> Option<Role> + Send + Sync + 'static,
    ) -> Self {
        Self { who: Box::new(who), may: Box::new(may) }
    }

    pub(super) fn who(&self, parts: &Parts) -> Answer<Who> {
        // A session in a cookie comes with every request that a browser sends, also for a page of somebody else's.
        let site = parts.headers.get("sec-fetch-site").map(|value| value.as_bytes());
        if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
            return Err(Failure::new(Code::Forbidden, "the request comes from a page of another site"));
        }
        // Not every browser says so, nor does any to a server without TLS: what changes something is looked at twice.
        if !matches!(parts.method, Method::GET | Method::HEAD) && !is_from_here(parts) {
            return Err(Failure::new(Code::Forbidden, "the `Origin` of the request is not its `Host`"));
        }
        let name = (self.who)(parts).ok_or_else(unauthenticated)?;
        match (self.may)(&name) {
            Some(role) => Ok(Who { name, role }),
            None => Err(Failure::new(Code::Forbidden, format!("{name:?} may not come in"))),
        }
    }
}

/// Whether the page that sends a request, if a page does, is of the host that it is sent to.
fn is_from_here(parts: &Parts) -> bool {
    let host = parts.headers.get(header::HOST).map(|host| host.as_bytes());
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str().as_bytes()));
    let is_host = |origin: &[u8]| {
        let authority = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
        authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
    };
    parts.headers.get_all(header::ORIGIN).iter().all(|origin| is_host(origin.as_bytes()))
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions").finish_non_exhaustive()
    }
}
