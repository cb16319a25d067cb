//! The keys of the core, what all keys are built from, and every [`Kind`](build::Kind) of key there is. The worker and
//! the event store build theirs in their own `keys` modules. `docs/format.md` specifies all of them.
//!
//! Keys are text: components joined by `:`, the kind of thing first. `escape` keeps components apart and in order,
//! `value` writes index values so that their keys sort as they do.

pub mod build;
mod escape;
mod event;
mod index;
mod kind;
mod owned;
mod range;
mod row;
mod value;

pub use build::{MAX_EVENT_SECONDS, MAX_PARTITIONS};
pub use escape::{push_escaped, unescape};
pub use event::*;
pub use index::*;
pub use kind::{reserved_prefix, reserved_prefixes};
pub use owned::*;
pub use range::KeyRange;
pub use row::*;
pub use value::{IndexField, IndexValue, InvalidIndexValue, encode_text_prefix};
