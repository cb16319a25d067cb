//! A store: the calls that read and write.
mod request;
mod service;

#[cfg(test)]
mod tests;

pub(crate) use self::service::StoreService;
