//! A store: the calls that read and write.
mod batch;
mod calls;
mod request;
mod service;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod traces;

pub(crate) use self::service::StoreService;
