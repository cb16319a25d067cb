//! The placement driver: members, timestamps, region locations, keyspaces and safe points.
mod gc;
mod http;
mod message;
mod regions;
mod service;
mod tso;

#[cfg(test)]
mod tests;

pub(crate) use self::http::add_pages;
pub(crate) use self::service::PdService;
