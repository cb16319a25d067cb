//! What tests are made with does what it says.
#![allow(clippy::unwrap_used, missing_docs)]

mod faults;
mod reference;
mod temporary;
