//! The API as its users meet it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod access;
mod audit;
mod changing;
mod dead;
mod departed;
mod engine;
mod explaining;
mod health;
mod hostile;
mod indexes;
mod limits;
#[cfg(unix)]
mod local;
mod looking;
mod loopback;
mod operations;
mod paging;
mod reading;
mod redacting;
mod roles;
mod stores;
mod streams;
mod support;
mod watching;
mod working;
