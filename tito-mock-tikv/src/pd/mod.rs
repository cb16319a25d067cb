//! The placement driver: members, timestamps, where regions are, keyspaces and safe points.
mod gc;
mod http;
mod message;
mod oracle;
mod regions;
mod safe_point;
mod service;
mod state;
mod tso;

#[cfg(test)]
mod tests;

pub(crate) use self::http::add_pages;
pub(crate) use self::oracle::{Clock, Oracle};
pub(crate) use self::service::PdService;
pub(crate) use self::state::PdState;
