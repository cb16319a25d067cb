//! A store: the calls that read and write.
mod request;
mod service;

pub(crate) use self::service::StoreService;
